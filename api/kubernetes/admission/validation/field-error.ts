/**
 * One thing wrong at one place of an object, in the real server's words.
 * Source: apimachinery pkg/util/validation/field/errors.go, pkg/api/errors/errors.go (NewInvalid).
 */

export type FieldErrorType =
  | "Required value"
  | "Invalid value"
  | "Forbidden"
  | "Unsupported value"
  | "Duplicate value"
  | "Not found"
  | "Too long"
  | "Too many";

export interface FieldError {
  /** Path such as `spec.containers[0].image` or `metadata.annotations[key]`. */
  readonly field: string;
  readonly type: FieldErrorType;
  /** The offending value; shown for the types that show values. */
  readonly value?: unknown;
  readonly detail: string;
}

export function required(field: string, detail = ""): FieldError {
  return { field, type: "Required value", detail };
}

export function invalid(field: string, value: unknown, detail: string): FieldError {
  return { field, type: "Invalid value", value, detail };
}

export function forbidden(field: string, detail: string): FieldError {
  return { field, type: "Forbidden", detail };
}

export function duplicate(field: string, value: unknown, detail = ""): FieldError {
  return { field, type: "Duplicate value", value, detail };
}

export function notFound(field: string, value: unknown): FieldError {
  return { field, type: "Not found", value, detail: "" };
}

export function notSupported(
  field: string,
  value: unknown,
  supported: readonly string[],
): FieldError {
  const list = supported.map((item) => JSON.stringify(item)).join(", ");
  return { field, type: "Unsupported value", value, detail: `supported values: ${list}` };
}

export function tooLong(field: string, maxBytes: number): FieldError {
  return { field, type: "Too long", detail: `may not be more than ${maxBytes} bytes` };
}

/** One invalid error per message: how the string checks of strings.ts are turned into errors. */
export function invalidEach(
  field: string,
  value: unknown,
  messages: readonly string[],
): FieldError[] {
  return messages.map((message) => invalid(field, value, message));
}

/** The error without its field: `Required value`, `Invalid value: "x": must be …`. */
export function fieldErrorBody({ type, value, detail }: FieldError): string {
  const showsValue = !["Required value", "Forbidden", "Too long"].includes(type);
  const shown = showsValue && value !== undefined ? `: ${JSON.stringify(value)}` : "";
  return `${type}${shown}${detail === "" ? "" : `: ${detail}`}`;
}

/** metav1.CauseType of an error, for Status.details.causes. */
export function causeTypeOf(type: FieldErrorType): string {
  const names: Readonly<Record<FieldErrorType, string>> = {
    "Required value": "FieldValueRequired",
    "Invalid value": "FieldValueInvalid",
    Forbidden: "FieldValueForbidden",
    "Unsupported value": "FieldValueNotSupported",
    "Duplicate value": "FieldValueDuplicate",
    "Not found": "FieldValueNotFound",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
  };
  return names[type];
}

/**
 * The message of a 422: `Pod "x" is invalid: spec.containers[0].image: Required value`, several in
 * brackets, each once. `kind` is `Pod` or, outside the core group, `RuntimeClass.node.k8s.io`.
 */
export function formatFieldErrors(
  kind: string,
  name: string,
  errors: readonly FieldError[],
): string {
  const texts = [...new Set(errors.map((error) => `${error.field}: ${fieldErrorBody(error)}`))];
  const all = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
  return `${kind} "${name}" is invalid: ${all}`;
}
