/** Kubernetes objects as an API server returns them: named, and with the parts every server fills in. */
import type {
  ConfigMap,
  Node,
  ObjectMeta,
  Pod,
  PodSpec,
  Secret,
} from "../proto/kubernetes/gen/types.ts";
import type { ResourcePath } from "./cluster-port.ts";

export type StoredMeta = ObjectMeta & { name: string; uid: string };

export type PodObject = Omit<Pod, "metadata" | "spec"> & {
  metadata: StoredMeta & { namespace: string };
  spec: PodSpec;
};

export type NodeObject = Omit<Node, "metadata"> & { metadata: StoredMeta };
export type ConfigMapObject = Omit<ConfigMap, "metadata"> & { metadata: StoredMeta };
export type SecretObject = Omit<Secret, "metadata"> & { metadata: StoredMeta };

export const nodesPath: ResourcePath = { groupVersion: "api/v1", plural: "nodes" };

export function podsPath(namespace?: string): ResourcePath {
  return coreV1("pods", namespace);
}

/** A namespaced resource of core/v1. */
export function coreV1(plural: string, namespace?: string): ResourcePath {
  return namespace === undefined
    ? { groupVersion: "api/v1", plural }
    : { groupVersion: "api/v1", plural, namespace };
}

/** `p_ns(uid)`: kubelet's format.Pod, used inside event and status texts. */
export function podText(pod: PodObject): string {
  return `${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
}
