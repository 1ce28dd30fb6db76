/** What a new cluster holds before anybody asks: namespaces, priority classes, RuntimeClasses. */
import { sandboxedAnnotation } from "./admission/sandbox-limits.ts";
import type { ApiContext } from "./context.ts";
import { fillNamespace } from "./controllers/namespace-controller.ts";
import { createObject } from "./generic/create.ts";
import { systemWrite } from "./generic/options.ts";
import type { KubeObject } from "./object.ts";

const namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];

// Source: kubernetes pkg/apis/scheduling/types.go.
const priorityClasses: readonly KubeObject[] = [
  priorityClass(
    "system-node-critical",
    2_000_001_000,
    "Used for system critical pods that must not be moved from their current node.",
  ),
  priorityClass(
    "system-cluster-critical",
    2_000_000_000,
    "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
  ),
];

const runtimeClasses: readonly KubeObject[] = [
  runtimeClass("kata-mshv-vm-isolation", "kata-mshv-vm-isolation", true),
  {
    ...runtimeClass("kata-vm-isolation", "kata-vm-isolation", true),
    overhead: { podFixed: { memory: "600Mi" } },
  },
  runtimeClass("runc", "runc", false),
];

/** Safe to repeat: what exists, also changed by the user, is left alone. */
export function seedCluster(context: ApiContext): void {
  for (const name of namespaces) {
    ensure(context, "namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } });
    fillNamespace(context, name);
  }
  for (const object of priorityClasses) {
    ensure(context, "priorityclasses.scheduling.k8s.io", object);
  }
  for (const object of runtimeClasses) ensure(context, "runtimeclasses.node.k8s.io", object);
}

function ensure(context: ApiContext, resource: string, object: KubeObject): void {
  const name = object.metadata.name ?? "";
  if (context.store.get({ resource, namespace: "", name }) !== undefined) return;
  const definition = context.registry.stored(resource);
  createObject(context, definition, "", structuredClone(object), systemWrite);
}

function priorityClass(name: string, value: number, description: string): KubeObject {
  return {
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name },
    value,
    description,
    preemptionPolicy: "PreemptLowerPriority",
  };
}

function runtimeClass(name: string, handler: string, sandboxed: boolean): KubeObject {
  return {
    apiVersion: "node.k8s.io/v1",
    kind: "RuntimeClass",
    metadata: {
      name,
      ...(sandboxed ? { annotations: { [sandboxedAnnotation]: "true" } } : {}),
    },
    handler,
  };
}
