/**
 * What the real server's JSON decoder says of a body: unknown fields (fieldValidation) and values of
 * the wrong type. Source: apimachinery pkg/runtime/serializer/json, sigs.k8s.io/json, Go
 * encoding/json (UnmarshalTypeError), apiserver endpoints/handlers/rest.go (transformDecodeError).
 */
import type { SimError } from "../../../common/errors.ts";
import { isQuantity, quantityErrorText } from "../../../common/quantity.ts";
import { apiError } from "../../errors.ts";
import { type FieldType, shortName } from "./definitions.ts";
import { goTypeOf } from "./go-types.ts";
import { isRecord } from "./records.ts";
import { fieldOf, type GroupVersionKind, schemaOf, structOf } from "./schema.ts";
import { timeProblem } from "./time-form.ts";

/**
 * One message per unknown field, in document order: `unknown field "spec.containers[0].bogus"`.
 * Empty for kinds without a definition.
 */
export function checkFields(gvk: GroupVersionKind, object: unknown): string[] {
  const messages: string[] = [];
  const schema = schemaOf(gvk);
  if (schema) collectUnknown(schema.type, object, "", messages);
  return messages;
}

/** Throws BadRequest in the real words at the first value whose type does not fit its field. */
export function checkTypes(gvk: GroupVersionKind, object: unknown): void {
  const problem = decodingProblem(gvk, object);
  if (problem !== undefined) throw undecodable(gvk, problem);
}

/** The decoder's words for the first value whose type does not fit; undefined when all fit. */
export function decodingProblem(gvk: GroupVersionKind, object: unknown): string | undefined {
  const schema = schemaOf(gvk);
  return schema && typeProblem(schema.type, object, { struct: "", stack: [] });
}

/** BadRequest for fieldValidation=Strict: unknown and duplicate fields, in this order. */
export function strictDecodingError(gvk: GroupVersionKind, messages: readonly string[]): SimError {
  return undecodable(gvk, `strict decoding error: ${messages.join(", ")}`);
}

function undecodable(gvk: GroupVersionKind, problem: string): SimError {
  return apiError(
    "BAD_REQUEST",
    `${gvk.kind} in version "${gvk.version}" cannot be handled as a ${gvk.kind}: ${problem}`,
  );
}

function collectUnknown(type: FieldType, value: unknown, path: string, into: string[]): void {
  if (type.array && Array.isArray(value)) {
    const element = type.array;
    for (const [i, item] of value.entries()) collectUnknown(element, item, `${path}[${i}]`, into);
    return;
  }
  if (!isRecord(value)) return;
  const struct = structOf(type);
  for (const [key, child] of Object.entries(value)) {
    const childPath = path === "" ? key : `${path}.${key}`;
    const childType = type.map ?? (struct && fieldOf(struct.definition, key));
    if (childType) collectUnknown(childType, child, childPath, into);
    else if (struct) into.push(`unknown field "${childPath}"`);
  }
}

/** Where encoding/json believes it is: the innermost struct and the names of the fields above. */
interface Context {
  readonly struct: string;
  readonly stack: readonly string[];
}

function typeProblem(type: FieldType, value: unknown, at: Context): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (type.array) {
    if (!Array.isArray(value)) return mismatch(value, type, at);
    return firstProblem(value.map((item) => [type.array as FieldType, item, at]));
  }
  if (type.map) {
    const element = type.map;
    if (!isRecord(value)) return mismatch(value, type, at);
    return firstProblem(Object.values(value).map((item) => [element, item, at]));
  }
  if (type.ref !== undefined) {
    if (!isRecord(value)) return mismatch(value, type, at);
    const struct = structOf(type);
    if (!struct) return undefined;
    const name = shortName(struct.name);
    return firstProblem(
      Object.entries(value).flatMap(([key, child]) => {
        const field = fieldOf(struct.definition, key);
        return field ? [[field, child, { struct: name, stack: [...at.stack, key] }] as const] : [];
      }),
    );
  }
  return scalarProblem(type, value, at);
}

function firstProblem(
  entries: readonly (readonly [FieldType, unknown, Context])[],
): string | undefined {
  for (const [type, value, at] of entries) {
    const problem = typeProblem(type, value, at);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function scalarProblem(type: FieldType, value: unknown, at: Context): string | undefined {
  switch (type.format) {
    case "quantity":
      return isQuantity(value) ? undefined : quantityErrorText;
    case "int-or-string":
      return typeof value === "string" ? undefined : integerProblem(type, value, at, "int32");
    case "date-time":
    case "date-time-micro":
      if (typeof value !== "string") return mismatch(value, { type: "string" }, at);
      return timeProblem(value, type.format);
    case "byte":
      return typeof value === "string" ? base64Problem(value) : mismatch(value, type, at);
    case "fields-v1":
      return undefined;
  }
  switch (type.type) {
    case "string":
    case "boolean":
    case "number":
      return typeof value === type.type ? undefined : mismatch(value, type, at);
    case "integer":
      return integerProblem(type, value, at, type.format === "int32" ? "int32" : "int64");
  }
  return undefined;
}

/** 2^31 as a number: the first value an int32 cannot hold. JavaScript holds int64 only to 2^53. */
const int32Limit = 2 ** 31;

function integerProblem(type: FieldType, value: unknown, at: Context, width: string) {
  if (typeof value !== "number") return mismatch(value, type, at);
  const fits = Number.isInteger(value) && (width !== "int32" || fitsInt32(value));
  return fits ? undefined : mismatch(value, type, at, `number ${value}`);
}

function fitsInt32(value: number): boolean {
  return value >= -int32Limit && value < int32Limit;
}

function mismatch(value: unknown, type: FieldType, at: Context, said = jsonKind(value)): string {
  const field = at.stack.at(-1);
  // Inside a list or map encoding/json names the element's type, which is what `type` is then.
  const goType = goTypeOf(type, at.struct, field);
  const where =
    at.struct === "" ? "Go value" : `Go struct field ${at.struct}.${at.stack.join(".")}`;
  return `json: cannot unmarshal ${said} into ${where} of type ${goType}`;
}

function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  return typeof value;
}

/** encoding/base64's CorruptInputError: the offset of the first bad byte or broken quantum. */
function base64Problem(text: string): string | undefined {
  const plain = text.replace(/[\r\n]/g, "");
  const body = /^[A-Za-z0-9+/]*/.exec(plain)?.[0].length ?? 0;
  const padding = plain.slice(body);
  if (plain.length % 4 === 0 && /^={0,2}$/.test(padding)) return undefined;
  const offset = /^=*$/.test(padding) ? body - (body % 4) : body;
  return `illegal base64 data at input byte ${offset}`;
}
