/**
 * Errors in the real API server's words.
 * Source: apimachinery pkg/api/errors/errors.go and pkg/util/validation/field/errors.go.
 */
import type { SimError } from "../../common/errors.ts";
import { apiError } from "../errors.ts";
import {
  causeTypeOf,
  type FieldError,
  fieldErrorBody,
  formatFieldErrors,
} from "./admission/validation/field-error.ts";
import { qualifiedKind, qualifiedName } from "./define-resource.ts";

interface ResourceName {
  readonly group: string;
  readonly plural: string;
}

export function notFound(resource: ResourceName, name: string): SimError {
  return apiError("NOT_FOUND", `${qualifiedName(resource)} "${name}" not found`, {
    details: details(resource, name),
  });
}

export function noSuchPath(): SimError {
  return apiError("NOT_FOUND", "the server could not find the requested resource", {
    details: {},
  });
}

export function alreadyExists(resource: ResourceName, name: string): SimError {
  return apiError("ALREADY_EXISTS", `${qualifiedName(resource)} "${name}" already exists`, {
    details: details(resource, name),
  });
}

/** The text a stale resourceVersion gets. */
export const objectModified =
  "the object has been modified; please apply your changes to the latest version and try again";

export function conflict(resource: ResourceName, name: string, why: string): SimError {
  return apiError(
    "CONFLICT",
    `Operation cannot be fulfilled on ${qualifiedName(resource)} "${name}": ${why}`,
    { details: details(resource, name) },
  );
}

export function forbidden(
  resource: ResourceName,
  name: string,
  why: string,
  causes?: readonly unknown[],
): SimError {
  return apiError("FORBIDDEN", `${qualifiedName(resource)} "${name}" is forbidden: ${why}`, {
    details: { ...details(resource, name), ...(causes === undefined ? {} : { causes }) },
  });
}

export function methodNotAllowed(): SimError {
  return apiError(
    "METHOD_NOT_ALLOWED",
    "the server does not allow this method on the requested resource",
    { details: {} },
  );
}

export function invalid(
  kind: { readonly group: string; readonly kind: string },
  name: string,
  problems: readonly FieldError[],
): SimError {
  return apiError("INVALID", formatFieldErrors(qualifiedKind(kind), name, problems), {
    details: {
      name,
      group: kind.group,
      kind: kind.kind,
      causes: problems.map((problem) => ({
        reason: causeTypeOf(problem.type),
        message: fieldErrorBody(problem),
        field: problem.field,
      })),
    },
  });
}

function details(resource: ResourceName, name: string): Record<string, unknown> {
  return {
    name,
    ...(resource.group === "" ? {} : { group: resource.group }),
    kind: resource.plural,
  };
}
