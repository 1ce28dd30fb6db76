/**
 * What decoding into Go structs and encoding again does to an object: unknown fields, nulls and zero
 * values that mean nothing go, quantities and times take their canonical form. Source: the typed
 * codec of apimachinery, Go's omitempty.
 */
import { isZero, keepsZero } from "../decode/field-numbers.ts";
import type { FieldType } from "./definitions.ts";
import { canonicalQuantity } from "./quantity-form.ts";
import { cloneJson, isRecord, setField } from "./records.ts";
import { fieldOf, type GroupVersionKind, type Struct, schemaOf, structOf } from "./schema.ts";
import { canonicalTime } from "./time-form.ts";

/**
 * A new object as the server would store it. Kinds without a definition are copied as they are.
 * Call checkTypes first: values of a wrong type are passed through unchanged.
 */
export function normalizeObject<T>(gvk: GroupVersionKind, object: T): T {
  const schema = schemaOf(gvk);
  return (schema ? normalize(schema.type, object) : cloneJson(object)) as T;
}

function normalize(type: FieldType, value: unknown): unknown {
  if (type.array && Array.isArray(value)) {
    const element = type.array;
    return value.map((item) => normalize(element, item));
  }
  if (isRecord(value)) {
    const struct = structOf(type);
    if (!struct && !type.map) return cloneJson(value);
    const result: Record<string, unknown> = {};
    for (const [key, child] of Object.entries(value)) {
      const childType = type.map ?? (struct && fieldOf(struct.definition, key));
      // A map keeps its null values as zero values in Go; dropping them only loses empty strings.
      if (!childType || child === null || child === undefined) continue;
      if (struct && isOmitted(struct, key, childType, child)) continue;
      setField(result, key, normalize(childType, child));
    }
    return result;
  }
  return scalar(type, value);
}

/** True for the zero value of a field that is no pointer: Go cannot tell it from an absent one. */
function isOmitted(struct: Struct, field: string, type: FieldType, value: unknown): boolean {
  if (struct.definition.required?.includes(field)) return false;
  if (type.array) return Array.isArray(value) && value.length === 0;
  if (type.map) return isRecord(value) && Object.keys(value).length === 0;
  return isZero(value) && keepsZero(struct.name, field) === false;
}

function scalar(type: FieldType, value: unknown): unknown {
  switch (type.format) {
    case "quantity":
      if (typeof value !== "string" && typeof value !== "number") return value;
      return canonicalQuantity(value) ?? value;
    case "date-time":
    case "date-time-micro":
      return typeof value === "string" ? canonicalTime(value, type.format) : value;
  }
  return value;
}
