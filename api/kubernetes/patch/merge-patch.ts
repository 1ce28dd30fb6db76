/** JSON merge patch: RFC 7396. */
import { cloneJson, getField, isRecord, type JsonRecord, setField } from "../schema/records.ts";

/** The merged value; neither argument is changed. */
export function applyMergePatch(current: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return cloneJson(patch);
  const result: JsonRecord = {};
  if (isRecord(current))
    for (const [key, value] of Object.entries(current)) {
      if (!Object.hasOwn(patch, key)) setField(result, key, cloneJson(value));
      else if (patch[key] !== null) setField(result, key, applyMergePatch(value, patch[key]));
    }
  for (const [key, value] of Object.entries(patch))
    if (value !== null && getField(result, key) === undefined)
      setField(result, key, applyMergePatch(undefined, value));
  return result;
}
