/** Changes an object: PUT, every patch, status writers and controllers come through here. */
import { isDeepStrictEqual } from "node:util";
import { admit } from "../admission/chain.ts";
import { validateObject } from "../admission/validation/index.ts";
import type { ApiContext } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { invalid } from "../status-errors.ts";
import { fromStored, getObject, revisionOf, storeKey, toStored } from "./keys.ts";
import { carryMetadata } from "./metadata.ts";
import type { NamedKey, UpdateOptions } from "./options.ts";

/**
 * `transform` gets a copy it may change and answers the wanted object. Read and write are one
 * synchronous step, so there is no race to retry; a write that changes nothing appends nothing.
 */
export function updateObject(
  context: ApiContext,
  definition: ResourceDefinition,
  key: NamedKey,
  transform: (current: KubeObject) => KubeObject,
  options: UpdateOptions,
): KubeObject {
  const nowMs = context.clock.nowMs();
  const current = getObject(context, definition, key);
  const next = transform(structuredClone(current));
  carryMetadata(definition, next, current);
  if (options.road === "main") {
    definition.prepareUpdate?.(next, current, nowMs);
    admit(context, {
      operation: "UPDATE",
      definition,
      namespace: key.namespace,
      object: next,
      old: current,
      warn: options.warn,
    });
    const problems = validateObject(definition, next, current);
    if (problems.length > 0) throw invalid(definition, key.name, problems);
  } else if (options.road !== "system") {
    options.road.prepareUpdate(next, current, nowMs);
  }
  if (options.dryRun || isDeepStrictEqual(next, current)) return next;
  const stored = toStored(definition, next);
  const write = isLetGo(definition, next) ? context.store.delete : context.store.update;
  return fromStored(definition, write(storeKey(definition, key), stored, revisionOf(current)));
}

/** A deleted object whose last finalizer goes, goes. store.go ShouldDeleteDuringUpdate. */
export function isLetGo(definition: ResourceDefinition, object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  return (
    deletionTimestamp !== undefined &&
    (deletionGracePeriodSeconds ?? 0) === 0 &&
    (finalizers ?? []).length === 0 &&
    definition.isHeld?.(object) !== true
  );
}
