/**
 * Lists in strategic merge patches: merging by key or as sets, and the order of the result, which is
 * not "append": items of the patch come in the patch's order, server-only items keep their place
 * before the first patch item that stood behind them. Source: strategicpatch/patch.go (mergeSlice,
 * normalizeElementOrder, mergeSortedSlice).
 */
import { getField, isRecord, type JsonRecord } from "../schema/records.ts";
import {
  badPatch,
  keyedItem,
  mergeKeyMissing,
  withoutDirectives,
  withoutNulls,
} from "./strategic-directives.ts";

export interface ListContext {
  /** Undefined for lists of scalars. */
  readonly mergeKey: string | undefined;
  readonly mergeItems: (before: JsonRecord, patch: JsonRecord) => JsonRecord;
}

/** Merges two lists; `deletes` for the items of a `$deleteFromPrimitiveList`. */
export function mergeLists(
  original: readonly unknown[],
  patch: readonly unknown[],
  context: ListContext,
  deletes: boolean,
): unknown[] {
  if (original.length === 0 && patch.length === 0) return [];
  if (!holdMaps([...original, ...patch])) {
    if (deletes) return original.filter((item) => !patch.includes(item));
    return inOrder([...new Set([...original, ...patch])], patch, original, undefined);
  }
  const { mergeKey } = context;
  if (mergeKey === undefined)
    throw badPatch("cannot merge lists without merge key for type struct");
  const { remaining, changes } = applyItemDirectives(original, patch, mergeKey);
  return inOrder(mergeByKey(remaining, changes, mergeKey, context), changes, remaining, mergeKey);
}

/** Merges a list that comes with a `$setElementOrder`; that order wins over the patch's. */
export function orderLists(
  original: readonly unknown[] | undefined,
  patch: readonly unknown[] | undefined,
  order: readonly unknown[],
  context: ListContext,
): unknown[] {
  const all = [...(original ?? []), ...(patch ?? [])];
  if (all.length === 0) return [];
  const mergeKey = holdMaps(all) ? context.mergeKey : undefined;
  if (mergeKey !== undefined) for (const item of order) keyedItem(item, mergeKey);
  checkAgainstOrder(patch ?? [], order, mergeKey);
  const merged =
    original && patch
      ? mergeLists(original, patch, context, false)
      : (original ?? (withoutDirectives(withoutNulls(patch)) as unknown[]));
  const before = original ?? [];
  const served = mergeKey === undefined ? before : overwritten(before, patch ?? [], mergeKey);
  return inOrder(merged, order, served, mergeKey);
}

/**
 * The server's list as Go sees it when it orders the result: deleting and appending wrote into the
 * same array, so freed places hold the first new items, and these count as the server's.
 */
function overwritten(
  original: readonly unknown[],
  patch: readonly unknown[],
  mergeKey: string,
): unknown[] {
  const view = [...original];
  const { remaining, changes } = applyItemDirectives(original, patch, mergeKey);
  if (remaining.length < original.length && changes.length > 0) {
    view.splice(0, remaining.length, ...remaining);
    const kept = new Set(remaining.map((item) => keyOf(item, mergeKey)));
    const added = changes.filter((item) => !kept.has(keyOf(item, mergeKey)));
    const freed = original.length - remaining.length;
    view.splice(remaining.length, Math.min(freed, added.length), ...added.slice(0, freed));
  }
  return view;
}

/** True for lists of maps; refuses mixed lists and lists of lists. */
function holdMaps(items: readonly unknown[]): boolean {
  if (items.some(Array.isArray)) throw badPatch("lists of lists are not supported");
  const kinds = new Set(items.map((item) => (item === null ? "null" : typeof item)));
  if (kinds.size > 1) throw badPatch("list element types are not identical");
  return isRecord(items[0]);
}

/** Takes `$patch: delete` and `$patch: replace` items out of the patch and does them. */
function applyItemDirectives(
  original: readonly unknown[],
  patch: readonly unknown[],
  mergeKey: string,
): { remaining: unknown[]; changes: unknown[] } {
  let remaining = [...original];
  let replaces = false;
  const changes: unknown[] = [];
  for (const item of patch as readonly JsonRecord[]) {
    switch (getField(item, "$patch")) {
      case undefined:
        changes.push(item);
        break;
      case "delete": {
        const key = getField(item, mergeKey);
        if (key === undefined) throw mergeKeyMissing(item, mergeKey);
        remaining = remaining.filter((candidate) => keyOf(candidate, mergeKey) !== key);
        break;
      }
      case "replace":
        replaces = true;
        break;
      case "merge":
        throw badPatch("merging lists cannot yet be specified in the patch");
      default:
        throw badPatch(`unknown patch type: ${String(item.$patch)}`);
    }
  }
  return replaces ? { remaining: changes, changes: [] } : { remaining, changes };
}

function mergeByKey(
  original: readonly unknown[],
  patch: readonly unknown[],
  mergeKey: string,
  context: ListContext,
): unknown[] {
  const merged = [...original];
  for (const item of patch) {
    const change = keyedItem(item, mergeKey);
    const at = merged.findIndex((candidate) => keyOf(candidate, mergeKey) === change[mergeKey]);
    if (at < 0) merged.push(withoutDirectives(withoutNulls(change)));
    else merged[at] = context.mergeItems(merged[at] as JsonRecord, change);
  }
  return merged;
}

/** Items named by `order` in that order, the others in the server's order, interleaved. */
function inOrder(
  items: readonly unknown[],
  order: readonly unknown[],
  serverOrder: readonly unknown[],
  mergeKey: string | undefined,
): unknown[] {
  const place = placesOf(order, mergeKey);
  const serverPlace = placesOf(serverOrder, mergeKey);
  const key = (item: unknown) =>
    mergeKey === undefined ? item : keyedItem(item, mergeKey)[mergeKey];
  const byPlace = (places: ReadonlyMap<unknown, number>) => (a: unknown, b: unknown) =>
    (places.get(key(a)) ?? -1) - (places.get(key(b)) ?? -1);
  const patched = items.filter((item) => place.has(key(item))).sort(byPlace(place));
  const serverOnly = items.filter((item) => !place.has(key(item))).sort(byPlace(serverPlace));

  const result: unknown[] = [];
  let next = 0;
  for (const item of patched) {
    const limit = serverPlace.get(key(item));
    // A patch item that is new to the server goes before every server-only item that is left.
    while (limit !== undefined && next < serverOnly.length) {
      const candidate = serverPlace.get(key(serverOnly[next]));
      if (candidate === undefined || candidate >= limit) break;
      result.push(serverOnly[next]);
      next += 1;
    }
    result.push(item);
  }
  return [...result, ...serverOnly.slice(next)];
}

function placesOf(items: readonly unknown[], mergeKey: string | undefined): Map<unknown, number> {
  const places = new Map<unknown, number>();
  for (const [i, item] of items.entries()) {
    const key = mergeKey === undefined ? item : keyOf(item, mergeKey);
    if (!places.has(key)) places.set(key, i);
  }
  return places;
}

/** What the patch adds or changes must stand in `$setElementOrder`, in the same relative order. */
function checkAgainstOrder(
  patch: readonly unknown[],
  order: readonly unknown[],
  mergeKey: string | undefined,
): void {
  if (order.length === 0) return;
  let at = 0;
  for (const item of patch) {
    if (isRecord(item) && Object.hasOwn(item, "$patch")) continue;
    const wanted = mergeKey === undefined ? item : keyedItem(item, mergeKey)[mergeKey];
    while (at < order.length && keyOrItem(order[at], mergeKey) !== wanted) at += 1;
    if (at === order.length)
      throw badPatch("The order in patch list doesn't match $setElementOrder list");
    at += 1;
  }
}

function keyOrItem(item: unknown, mergeKey: string | undefined): unknown {
  return mergeKey === undefined ? item : keyOf(item, mergeKey);
}

function keyOf(item: unknown, mergeKey: string): unknown {
  return isRecord(item) ? getField(item, mergeKey) : undefined;
}
