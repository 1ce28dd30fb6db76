/**
 * CONTRACT: the store of API objects. Every write appends a row; the row's id is the object's
 * resourceVersion, and a watch is "rows with a greater id" (etcd's revisions, in kine's shape).
 * All verbs are synchronous: one call is one transaction, so compare-and-swap needs no lock.
 */
import type { KubeObject } from "../kubernetes/object.ts";

export interface ObjectKey {
  /** Storage name of the resource: "pods", "runtimeclasses.node.k8s.io". */
  readonly resource: string;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

export interface StoreEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly key: ObjectKey;
  readonly revision: number;
  /** With `metadata.resourceVersion` = revision; for DELETED the last state. */
  readonly object: KubeObject;
  /** The state before; absent for ADDED. */
  readonly previous: KubeObject | undefined;
}

export interface ListQuery {
  readonly resource: string;
  readonly namespace?: string | undefined;
  /** The state as of this revision; the newest when absent. */
  readonly atRevision?: number | undefined;
  /** Only keys after this one, in (namespace, name) order. */
  readonly after?: { readonly namespace: string; readonly name: string } | undefined;
}

export interface ListResult {
  /** The revision the list is true for. */
  readonly revision: number;
  /** How many rows there are; `objects` parses them one by one. */
  readonly count: number;
  readonly objects: Iterable<KubeObject>;
}

/**
 * Errors: ALREADY_EXISTS (create), CONFLICT (update, delete with a stale revision or a missing key;
 * callers translate into Kubernetes' words), EXPIRED (revision compacted away), STORE_FULL,
 * STORE_CORRUPT, STORE_UNAVAILABLE.
 */
export interface Store {
  currentRevision(): number;
  /** Revisions up to and including this one can no longer be watched from or listed at. */
  compactedRevision(): number;
  get(key: ObjectKey): KubeObject | undefined;
  list(query: ListQuery): ListResult;
  create(key: ObjectKey, object: KubeObject): KubeObject;
  /** Replaces the object if its revision still is `expectedRevision`. */
  update(key: ObjectKey, object: KubeObject, expectedRevision: number): KubeObject;
  /** Appends a tombstone holding `object` (the last state). */
  delete(key: ObjectKey, object: KubeObject, expectedRevision: number): KubeObject;
  /** What happened after `revision`, in order. */
  eventsSince(resource: string, revision: number): StoreEvent[];
  /** Called after every committed write, in order, until the returned function is called. */
  onEvent(listener: (event: StoreEvent) => void): () => void;
  /** Forgets states that were already replaced at `revision`. */
  compact(revision: number): void;
  close(): void;
}
