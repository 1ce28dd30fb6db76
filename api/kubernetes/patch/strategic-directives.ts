/** Words that strategic merge patches share: refusals, and clearing directives out of new values. */
import { apiError } from "../../errors.ts";
import { getField, isRecord, type JsonRecord, setField } from "../schema/records.ts";
import { goText } from "./go-text.ts";

/** Texts: apimachinery pkg/util/mergepatch/errors.go. */
export function badPatch(text: string): Error {
  return apiError("BAD_REQUEST", text);
}

export function mergeKeyMissing(item: unknown, mergeKey: string): Error {
  return badPatch(`map: ${goText(item)} does not contain declared merge key: ${mergeKey}`);
}

/** The list's item as a map, with its merge key present. */
export function keyedItem(item: unknown, mergeKey: string): JsonRecord {
  if (!isRecord(item))
    throw badPatch(`expected a map[string]interface {}, but received a ${typeof item}`);
  if (getField(item, mergeKey) === undefined) throw mergeKeyMissing(item, mergeKey);
  return item;
}

/** A value new to the object has nothing to delete: its nulls in maps go. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isRecord(value)) return value;
  const result = {};
  for (const [key, child] of Object.entries(value))
    if (child !== null) setField(result, key, withoutNulls(child));
  return result;
}

/** Maps with `$patch` vanish from a new value (undefined at the top), as do the other directives. */
export function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value))
    return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isRecord(value)) return value;
  if (Object.hasOwn(value, "$patch")) return undefined;
  const result = {};
  for (const [key, child] of Object.entries(value)) {
    const kept = /^\$(retainKeys$|setElementOrder\/|deleteFromPrimitiveList\/)/.test(key)
      ? undefined
      : withoutDirectives(child);
    if (kept !== undefined) setField(result, key, kept);
  }
  return result;
}
