/**
 * A cluster in memory behind ClusterPort: versions, uids, conflicts, graceful deletion and watches as
 * an API server has them. Patches are merged as far as the agent uses them.
 */

import type { CoreV1Event, PodSpec, PodStatus } from "../../proto/kubernetes/gen/types.ts";
import { clusterError } from "../../simulator/cluster/errors.ts";
import type {
  ClusterPort,
  KubernetesObject,
  ResourcePath,
  WatchEvent,
} from "../../simulator/cluster-port.ts";
import { type PodObject, podsPath } from "../../simulator/objects.ts";

type Stored = KubernetesObject & { metadata: { name: string; uid: string } };
type Listener = (event: WatchEvent<Stored>) => void;

export interface FakeCluster extends ClusterPort {
  /** Creates a pod bound to the node. */
  addPod(name: string, spec: Partial<PodSpec>, more?: { readonly status?: PodStatus }): PodObject;
  pod(name: string): PodObject | undefined;
  /** `kubectl delete pod`. */
  deletePod(name: string, graceSeconds?: number): void;
  /** `kubectl delete pod --force --grace-period=0`. */
  forceDeletePod(name: string): void;
  events(reason?: string): CoreV1Event[];
  /** Every pod status the agent wrote, in order. */
  readonly statusWrites: PodStatus[];
  /** Fails the next calls of this verb with the error. */
  failNext(verb: "patch" | "delete" | "create", error: unknown): void;
}

export function createFakeCluster(nodeName = "node-1"): FakeCluster {
  const objects = new Map<string, Stored>();
  const listeners = new Map<string, Set<Listener>>();
  const statusWrites: PodStatus[] = [];
  const failures: Array<{ verb: string; error: unknown }> = [];
  let version = 100;
  let uids = 0;

  const keyOf = (path: ResourcePath, name: string) =>
    `${path.groupVersion}/${path.plural}/${path.namespace ?? ""}/${name}`;
  const kindKey = (path: ResourcePath) => `${path.groupVersion}/${path.plural}`;
  const refuse = (code: number, message: string) =>
    clusterError("API_REFUSED", message, { details: { status: { code, message } } });
  const tell = (path: ResourcePath, event: WatchEvent<Stored>) => {
    for (const listener of listeners.get(kindKey(path)) ?? []) listener(event);
  };
  const maybeFail = (verb: string) => {
    const at = failures.findIndex((failure) => failure.verb === verb);
    if (at !== -1) throw failures.splice(at, 1)[0]?.error;
  };
  const put = (path: ResourcePath, object: Stored, type: "ADDED" | "MODIFIED"): Stored => {
    version++;
    const stored = structuredClone({
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(version) },
    });
    objects.set(keyOf(path, stored.metadata.name), stored);
    tell(path, { type, object: structuredClone(stored) });
    return structuredClone(stored);
  };
  const remove = (path: ResourcePath, name: string) => {
    const object = objects.get(keyOf(path, name));
    if (object === undefined) return;
    objects.delete(keyOf(path, name));
    version++;
    tell(path, { type: "DELETED", object: structuredClone(object) });
  };
  const podKey = (name: string) => keyOf(podsPath("default"), name);

  return {
    statusWrites,
    async get<T>(path: ResourcePath, name: string) {
      const found = objects.get(keyOf(path, name));
      return found && (structuredClone(found) as unknown as T);
    },
    async list<T>(path: ResourcePath) {
      return [...objects]
        .filter(([key]) => key.startsWith(`${kindKey(path)}/`))
        .map(([, object]) => structuredClone(object) as unknown as T);
    },
    async create<T extends KubernetesObject>(path: ResourcePath, object: T) {
      maybeFail("create");
      const name = object.metadata.name ?? "";
      if (objects.has(keyOf(path, name)))
        throw refuse(409, `${path.plural} "${name}" already exists`);
      const metadata = { ...object.metadata, name, uid: `uid-${++uids}` };
      return put(path, { ...object, metadata }, "ADDED") as unknown as T;
    },
    async replace<T extends KubernetesObject>(path: ResourcePath, name: string, object: T) {
      if (!objects.has(keyOf(path, name))) throw refuse(404, `${path.plural} "${name}" not found`);
      return put(path, object as unknown as Stored, "MODIFIED") as unknown as T;
    },
    async patch<T>(
      path: ResourcePath,
      name: string,
      patch: unknown,
      options: { subresource?: string },
    ) {
      maybeFail("patch");
      const present = objects.get(keyOf(path, name));
      if (present === undefined) throw refuse(404, `${path.plural} "${name}" not found`);
      const uid = (patch as { metadata?: { uid?: string } }).metadata?.uid;
      if (uid !== undefined && uid !== present.metadata.uid) throw refuse(409, "another uid");
      const merged = merge(present, patch) as Stored;
      if (path.plural === "pods" && options.subresource === "status") {
        statusWrites.push(structuredClone((merged as unknown as PodObject).status ?? {}));
      }
      return put(path, merged, "MODIFIED") as unknown as T;
    },
    async delete(path, name, options = {}) {
      maybeFail("delete");
      const present = objects.get(keyOf(path, name));
      if (present === undefined) return;
      if (options.uid !== undefined && options.uid !== present.metadata.uid) {
        throw refuse(409, "another uid");
      }
      remove(path, name);
    },
    watch(path, _query, onEvent, signal) {
      const listener = onEvent as unknown as Listener;
      const set = listeners.get(kindKey(path)) ?? new Set();
      listeners.set(kindKey(path), set.add(listener));
      const items = [...objects]
        .filter(([key]) => key.startsWith(`${kindKey(path)}/`))
        .map(([, object]) => structuredClone(object));
      listener({ type: "SYNC", items });
      return new Promise((resolve) =>
        signal.addEventListener("abort", () => {
          set.delete(listener);
          resolve();
        }),
      );
    },
    addPod(name, spec, more = {}) {
      const pod = {
        metadata: { name, namespace: "default", uid: `uid-${++uids}` },
        spec: { nodeName, containers: [], ...spec },
        ...more,
      };
      return put(podsPath("default"), pod as unknown as Stored, "ADDED") as unknown as PodObject;
    },
    pod: (name) => {
      const found = objects.get(podKey(name));
      return found && (structuredClone(found) as unknown as PodObject);
    },
    deletePod(name, graceSeconds = 30) {
      const present = objects.get(podKey(name));
      if (present === undefined) return;
      put(
        podsPath("default"),
        {
          ...present,
          metadata: {
            ...present.metadata,
            deletionTimestamp: "2026-01-01T00:00:30Z",
            deletionGracePeriodSeconds: graceSeconds,
          } as Stored["metadata"],
        },
        "MODIFIED",
      );
    },
    forceDeletePod: (name) => remove(podsPath("default"), name),
    events: (reason) =>
      [...objects.values()]
        .filter(({ kind }) => kind === "Event")
        .map((object) => object as unknown as CoreV1Event)
        .filter((event) => reason === undefined || event.reason === reason),
    failNext: (verb, error) => failures.push({ verb, error }),
  };
}

const mergeKeys: Readonly<Record<string, string>> = {
  conditions: "type",
  podIPs: "ip",
  hostIPs: "ip",
  addresses: "type",
};

function merge(target: unknown, patch: unknown, field = ""): unknown {
  if (Array.isArray(patch)) {
    const key = mergeKeys[field];
    if (key === undefined) return patch;
    let result = Array.isArray(target) ? [...target] : [];
    for (const item of patch as Array<Record<string, unknown>>) {
      const at = result.findIndex((each) => each[key] === item[key]);
      if (item.$patch === "delete") result = result.filter((_, index) => index !== at);
      else if (at === -1) result.push(merge({}, item));
      else result[at] = merge(result[at], item);
    }
    return result;
  }
  if (typeof patch !== "object" || patch === null) return patch;
  const result: Record<string, unknown> = { ...(target as object) };
  for (const [name, value] of Object.entries(patch)) {
    if (name.startsWith("$")) continue;
    if (value === null) delete result[name];
    else result[name] = merge(result[name], value, name);
  }
  return result;
}
