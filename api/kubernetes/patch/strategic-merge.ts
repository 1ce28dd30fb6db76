/**
 * Strategic merge patch: maps merge, lists merge by key where the schema says so, directives delete,
 * replace, retain and order. Source: apimachinery pkg/util/strategicpatch/patch.go (mergeMap,
 * mergePatchIntoOriginal, mergeSlice), whose order of results this keeps.
 */
import type { GroupVersionKind } from "../schema/definitions.ts";
import { cloneJson, getField, isRecord, type JsonRecord, setField } from "../schema/records.ts";
import { childOf, elementOf, type SchemaNode, schemaOf } from "../schema/schema.ts";
import { badPatch, withoutDirectives, withoutNulls } from "./strategic-directives.ts";
import { mergeLists, orderLists } from "./strategic-lists.ts";

const deletePrefix = "$deleteFromPrimitiveList/";
const orderPrefix = "$setElementOrder/";

/** The patched copy; BadRequest for malformed directives and for items without their merge key. */
export function applyStrategicMergePatch(
  current: object,
  patch: unknown,
  gvk: GroupVersionKind,
): JsonRecord {
  if (!isRecord(patch)) throw badPatch("invalid JSON document");
  return mergeMaps(cloneJson(current) as JsonRecord, cloneJson(patch), schemaOf(gvk));
}

/** Merges into `original` and returns it. Both arguments are consumed. */
export function mergeMaps(
  original: JsonRecord,
  patch: JsonRecord,
  schema: SchemaNode | undefined,
): JsonRecord {
  if (Object.hasOwn(patch, "$patch")) return replaceOrDelete(patch);
  retainKeys(original, patch);
  applyElementOrders(original, patch, schema);
  for (const [rawKey, value] of Object.entries(patch)) {
    const deletes = rawKey.startsWith(deletePrefix);
    const key = deletes ? rawKey.slice(deletePrefix.length) : rawKey;
    if (value === null) {
      delete original[key];
      continue;
    }
    mergeField(original, key, value, deletes, childOf(schema, key));
  }
  return original;
}

function mergeField(
  original: JsonRecord,
  key: string,
  value: unknown,
  deletes: boolean,
  schema: SchemaNode | undefined,
): void {
  const before = getField(original, key);
  const strategies = schema?.merge.strategy?.split(",") ?? [];
  if (isRecord(before) && isRecord(value)) {
    setField(
      original,
      key,
      strategies.includes("replace") ? value : mergeMaps(before, value, schema),
    );
  } else if (Array.isArray(before) && Array.isArray(value)) {
    const merges = strategies.includes("merge") || deletes;
    setField(original, key, merges ? mergeLists(before, value, contextOf(schema), deletes) : value);
  } else if (!deletes) {
    const taken = withoutDirectives(withoutNulls(value));
    if (taken === undefined) delete original[key];
    else setField(original, key, taken);
  }
}

function contextOf(schema: SchemaNode | undefined) {
  const element = elementOf(schema);
  return {
    mergeKey: schema?.merge.mergeKey,
    mergeItems: (before: JsonRecord, patch: JsonRecord) => mergeMaps(before, patch, element),
  };
}

/** `$patch: replace` takes the patch as it is, `$patch: delete` leaves an empty map. */
function replaceOrDelete(patch: JsonRecord): JsonRecord {
  const { $patch: directive, ...rest } = patch;
  if (directive === "replace") return rest;
  if (directive === "delete") return {};
  throw badPatch(`unknown patch type: ${String(directive)}`);
}

/** `$retainKeys`: fields of the original that are not named go. */
function retainKeys(original: JsonRecord, patch: JsonRecord): void {
  if (!Object.hasOwn(patch, "$retainKeys")) return;
  const named = patch.$retainKeys;
  delete patch.$retainKeys;
  if (!Array.isArray(named)) throw badPatch("invalid patch format of retainKeys");
  const retained = new Set(named);
  for (const [key, value] of Object.entries(patch)) {
    const isDirective = key.startsWith(deletePrefix) || key.startsWith(orderPrefix);
    if (value !== null && !isDirective && !retained.has(key))
      throw badPatch("invalid patch format of retainKeys");
  }
  for (const key of Object.keys(original)) if (!retained.has(key)) delete original[key];
}

/** Merges the lists that have a `$setElementOrder` and takes both out of the patch. */
function applyElementOrders(
  original: JsonRecord,
  patch: JsonRecord,
  schema: SchemaNode | undefined,
): void {
  for (const [directive, order] of Object.entries(patch)) {
    if (!directive.startsWith(orderPrefix)) continue;
    delete patch[directive];
    const key = directive.slice(orderPrefix.length);
    const before = getField(original, key);
    const change = getField(patch, key);
    const isList = (value: unknown) => value === undefined || Array.isArray(value);
    // A null beside its order deletes the list: leave it to the general rule.
    if (change === null) continue;
    if (!Array.isArray(order) || !isList(before) || !isList(change))
      throw badPatch("invalid patch format of setElementOrder list");
    if (before === undefined && change === undefined) continue;
    const merged = orderLists(
      before as unknown[] | undefined,
      change as unknown[] | undefined,
      order,
      contextOf(childOf(schema, key)),
    );
    delete patch[key];
    setField(original, key, merged);
  }
}
