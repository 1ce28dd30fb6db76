/** What an event is about: involvedObject as the kubelet fills it in. */
import type { ObjectReference } from "../../proto/kubernetes/gen/types.ts";
import type { PodObject } from "../objects.ts";
import type { ContainerKind } from "../pods/pod-containers.ts";

export function podReference(pod: PodObject): ObjectReference {
  const { namespace, name, uid, resourceVersion } = pod.metadata;
  return {
    kind: "Pod",
    namespace,
    name,
    uid,
    apiVersion: "v1",
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

/** `spec.containers{c}`: the kubelet's fieldPath (kubelet container/ref.go). */
export function containerReference(
  pod: PodObject,
  kind: ContainerKind,
  name: string,
): ObjectReference {
  return { ...podReference(pod), fieldPath: `spec.${fields[kind]}{${name}}` };
}

const fields: Readonly<Record<ContainerKind, string>> = {
  app: "containers",
  init: "initContainers",
  ephemeral: "ephemeralContainers",
};

/** Events on nodes carry the node's NAME as uid: that is what `kubectl describe node` asks for. */
export function nodeReference(nodeName: string): ObjectReference {
  return { kind: "Node", name: nodeName, uid: nodeName, apiVersion: "v1" };
}
