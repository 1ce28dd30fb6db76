/**
 * Errors in the real API server's words.
 * Source: apimachinery pkg/api/errors/errors.go and pkg/util/validation/field/errors.go.
 */
import type { SimError } from "../../common/errors.ts";
import { apiError } from "../errors.ts";
import { qualifiedKind, qualifiedName } from "./define-resource.ts";

interface ResourceName {
  readonly group: string;
  readonly plural: string;
}

/** field.Error: one thing wrong at one place. */
export interface FieldProblem {
  readonly field: string;
  readonly type: string;
  readonly value?: unknown;
  readonly detail: string;
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
  problems: readonly FieldProblem[],
): SimError {
  const texts = [...new Set(problems.map((problem) => `${problem.field}: ${bodyOf(problem)}`))];
  const all = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
  return apiError("INVALID", `${qualifiedKind(kind)} "${name}" is invalid: ${all}`, {
    details: {
      name,
      group: kind.group,
      kind: kind.kind,
      causes: problems.map((problem) => ({
        reason: (fieldTypes[problem.type] ?? otherType).reason,
        message: bodyOf(problem),
        field: problem.field,
      })),
    },
  });
}

interface FieldTypeWords {
  readonly words: string;
  readonly reason: string;
  readonly showsValue: boolean;
}

const otherType: FieldTypeWords = {
  words: "Invalid value",
  reason: "FieldValueInvalid",
  showsValue: true,
};

const fieldTypes: Readonly<Record<string, FieldTypeWords>> = {
  Required: { words: "Required value", reason: "FieldValueRequired", showsValue: false },
  Forbidden: { words: "Forbidden", reason: "FieldValueForbidden", showsValue: false },
  TooLong: { words: "Too long", reason: "FieldValueTooLong", showsValue: false },
  InternalError: { words: "Internal error", reason: "InternalError", showsValue: false },
  Invalid: otherType,
  TypeInvalid: { words: "Invalid value", reason: "FieldValueTypeInvalid", showsValue: true },
  NotSupported: {
    words: "Unsupported value",
    reason: "FieldValueNotSupported",
    showsValue: true,
  },
  Duplicate: { words: "Duplicate value", reason: "FieldValueDuplicate", showsValue: true },
  NotFound: { words: "Not found", reason: "FieldValueNotFound", showsValue: true },
  TooMany: { words: "Too many", reason: "FieldValueTooMany", showsValue: true },
};

function bodyOf(problem: FieldProblem): string {
  const { words, showsValue } = fieldTypes[problem.type] ?? otherType;
  const value =
    showsValue && problem.value !== undefined ? `: ${JSON.stringify(problem.value)}` : "";
  return `${words}${value}${problem.detail === "" ? "" : `: ${problem.detail}`}`;
}

function details(resource: ResourceName, name: string): Record<string, unknown> {
  return {
    name,
    ...(resource.group === "" ? {} : { group: resource.group }),
    kind: resource.plural,
  };
}
