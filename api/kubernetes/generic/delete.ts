/**
 * Deletes an object: at once, after its grace period or after its finalizers.
 * Source: apiserver pkg/registry/rest/delete.go BeforeDelete, generic/registry/store.go Delete.
 */
import { rfc3339 } from "../../../common/clock.ts";
import { admit } from "../admission/chain.ts";
import type { ApiContext } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { conflict } from "../status-errors.ts";
import type { DeleteRequest } from "./delete-options.ts";
import { fromStored, getObject, revisionOf, storeKey, toStored } from "./keys.ts";
import type { NamedKey } from "./options.ts";
import { isLetGo } from "./update.ts";

export interface Deletion {
  readonly object: KubeObject;
  /** False while the object waits for its grace period or finalizers. */
  readonly gone: boolean;
}

const policyFinalizers = { Foreground: "foregroundDeletion", Orphan: "orphan" } as const;

export function deleteObject(
  context: ApiContext,
  definition: ResourceDefinition,
  key: NamedKey,
  request: DeleteRequest,
): Deletion {
  const current = getObject(context, definition, key);
  checkPreconditions(definition, current, request);
  admit(context, {
    operation: "DELETE",
    definition,
    namespace: key.namespace,
    object: current,
    old: current,
    warn: () => {},
  });
  const next = structuredClone(current);
  markDeleted(definition, next, request, context.clock.nowMs());
  const gone = isLetGo(definition, next);
  if (request.dryRun) return { object: next, gone };
  const write = gone ? context.store.delete : context.store.update;
  const stored = write(storeKey(definition, key), toStored(definition, next), revisionOf(current));
  return { object: fromStored(definition, stored), gone };
}

function checkPreconditions(
  definition: ResourceDefinition,
  current: KubeObject,
  request: DeleteRequest,
): void {
  const { uid, resourceVersion, name = "" } = current.metadata;
  if (request.uid !== undefined && request.uid !== uid) {
    throw conflict(
      definition,
      name,
      `Precondition failed: UID in precondition: ${request.uid}, UID in object meta: ${uid}`,
    );
  }
  if (request.resourceVersion !== undefined && request.resourceVersion !== resourceVersion) {
    throw conflict(
      definition,
      name,
      `Precondition failed: ResourceVersion in precondition: ${request.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}`,
    );
  }
}

function markDeleted(
  definition: ResourceDefinition,
  object: KubeObject,
  request: DeleteRequest,
  nowMs: number,
): void {
  const { metadata } = object;
  const grace = definition.deletionGraceSeconds?.(object, request.gracePeriodSeconds) ?? 0;
  if (metadata.deletionTimestamp === undefined) {
    metadata.deletionTimestamp = rfc3339(nowMs + grace * 1000);
    metadata.deletionGracePeriodSeconds = grace;
    definition.prepareDelete?.(object);
  } else {
    // A second DELETE may shorten the wait, never lengthen it.
    const before = metadata.deletionGracePeriodSeconds ?? 0;
    if (request.gracePeriodSeconds !== undefined && grace < before) {
      metadata.deletionTimestamp = rfc3339(
        Date.parse(metadata.deletionTimestamp) + (grace - before) * 1000,
      );
      metadata.deletionGracePeriodSeconds = grace;
    }
  }
  if (request.propagationPolicy !== "Background") {
    const finalizer = policyFinalizers[request.propagationPolicy];
    metadata.finalizers = [...new Set([...(metadata.finalizers ?? []), finalizer])];
  }
}
