/**
 * CONTRACT: all the node agent may ask of a cluster. It is the Kubernetes API over HTTPS and nothing
 * else, so the same agent joins the embedded API server or a real one.
 */
export interface ResourcePath {
  /** "api/v1" or "apis/node.k8s.io/v1" */
  readonly groupVersion: string;
  readonly plural: string;
  readonly namespace?: string;
}

export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly deletionTimestamp?: string;
  };
}

export type WatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  /** The list was read anew; anything not in `items` is gone. */
  | { readonly type: "SYNC"; readonly items: readonly T[] };

export type PatchType =
  | "application/strategic-merge-patch+json"
  | "application/merge-patch+json"
  | "application/json-patch+json";

export interface ClusterPort {
  get<T extends KubernetesObject>(path: ResourcePath, name: string): Promise<T | undefined>;
  list<T extends KubernetesObject>(
    path: ResourcePath,
    query?: { readonly fieldSelector?: string; readonly labelSelector?: string },
  ): Promise<readonly T[]>;
  create<T extends KubernetesObject>(path: ResourcePath, object: T): Promise<T>;
  replace<T extends KubernetesObject>(
    path: ResourcePath,
    name: string,
    object: T,
    subresource?: string,
  ): Promise<T>;
  patch<T extends KubernetesObject>(
    path: ResourcePath,
    name: string,
    patch: unknown,
    options: { readonly type: PatchType; readonly subresource?: string },
  ): Promise<T>;
  /** Succeeds when the object is already gone. */
  delete(
    path: ResourcePath,
    name: string,
    options?: { readonly gracePeriodSeconds?: number; readonly uid?: string },
  ): Promise<void>;
  /** List then watch for ever: reconnects, re-lists after 410, first event is SYNC. */
  watch<T extends KubernetesObject>(
    path: ResourcePath,
    query: { readonly fieldSelector?: string },
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void>;
}
