/**
 * Compute resources: names, quantities, requests against limits.
 * Source: kubernetes pkg/apis/core/validation (ValidateResourceRequirements), pkg/apis/core/helper.
 */
import { parseNano } from "../../../../common/quantity.ts";
import type { ResourceRequirements } from "../../../../proto/kubernetes/gen/types.ts";
import { type FieldError, forbidden, invalid, invalidEach, required } from "./field-error.ts";
import { qualifiedName } from "./strings.ts";

const milli = 1_000_000n;
const unit = 1_000_000_000n;

const containerResources = new Set(["cpu", "memory", "ephemeral-storage"]);
const standardResources = new Set([...containerResources, "storage", "pods", "services"]);

export function validateResources(
  resources: ResourceRequirements | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const { limits = {}, requests = {} } = resources ?? {};
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  for (const [name, quantity] of Object.entries(limits))
    errors.push(...validateAmount(name, quantity, `${path}.limits[${name}]`));
  for (const [name, quantity] of Object.entries(requests)) {
    errors.push(...validateAmount(name, quantity, `${path}.requests[${name}]`));
    errors.push(...requestAgainstLimit(name, quantity, limits[name], path));
  }
  if (names.some(isHugePages) && !names.includes("cpu") && !names.includes("memory"))
    errors.push(forbidden(path, "HugePages require cpu or memory"));
  return errors;
}

/** Overhead of pods and runtime classes: a list of limits. */
export function validateResourceList(
  list: Readonly<Record<string, string>> | undefined,
  path: string,
): FieldError[] {
  return Object.entries(list ?? {}).flatMap(([name, quantity]) =>
    validateAmount(name, quantity, `${path}[${name}]`),
  );
}

/** Non-negative, whole where the resource cannot be divided. */
export function validateQuantity(name: string, quantity: string, field: string): FieldError[] {
  const value = parseNano(quantity);
  if (value === undefined) return [];
  const errors: FieldError[] = [];
  if (value < 0n) errors.push(invalid(field, quantity, "must be greater than or equal to 0"));
  if (isWhole(name) && (value / milli) % (unit / milli) !== 0n)
    errors.push(invalid(field, quantity, "must be an integer"));
  return errors;
}

function validateAmount(name: string, quantity: string, field: string): FieldError[] {
  return [...validateResourceName(name, field), ...validateQuantity(name, quantity, field)];
}

function validateResourceName(name: string, field: string): FieldError[] {
  const errors = invalidEach(field, name, qualifiedName(name));
  if (errors.length > 0) return errors;
  if (!name.includes("/")) {
    if (!standardResources.has(name) && !isHugePages(name))
      errors.push(invalid(field, name, "must be a standard resource type or fully qualified"));
    if (!containerResources.has(name) && !isHugePages(name))
      errors.push(invalid(field, name, "must be a standard resource for containers"));
  } else if (!isNative(name) && name.startsWith("requests.")) {
    errors.push(invalid(field, name, "doesn't follow extended resource name standard"));
  }
  return errors;
}

function requestAgainstLimit(
  name: string,
  request: string,
  limit: string | undefined,
  path: string,
): FieldError[] {
  const overcommits = isNative(name) && !isHugePages(name);
  if (limit === undefined)
    return overcommits
      ? []
      : [required(`${path}.limits`, "Limit must be set for non overcommitable resources")];
  const wanted = parseNano(request) ?? 0n;
  const most = parseNano(limit) ?? 0n;
  if (!overcommits && wanted !== most)
    return [invalid(`${path}.requests`, request, `must be equal to ${name} limit of ${limit}`)];
  if (wanted > most)
    return [
      invalid(
        `${path}.requests`,
        request,
        `must be less than or equal to ${name} limit of ${limit}`,
      ),
    ];
  return [];
}

function isNative(name: string): boolean {
  return !name.includes("/") || name.includes("kubernetes.io/");
}

function isHugePages(name: string): boolean {
  return name.startsWith("hugepages-");
}

/** Extended resources and counts; helper.IsIntegerResourceName. */
function isWhole(name: string): boolean {
  return name === "pods" || name === "services" || !isNative(name);
}
