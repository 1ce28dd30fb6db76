/** core/v1 Node. Source: kubernetes pkg/registry/core/node; columns: printers.go printNode. */
import type { Node } from "../../../proto/kubernetes/gen/types.ts";
import { defineResource, keepStatus, statusSubresource } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { ageOf } from "../tables/human-duration.ts";

const nodeOf = (object: KubeObject): Node => object as unknown as Node;
const rolePrefix = "node-role.kubernetes.io/";

export const nodes = defineResource({
  group: "",
  version: "v1",
  kind: "Node",
  plural: "nodes",
  namespaced: false,
  shortNames: ["no"],
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    { name: "Status", description: "The status of the node" },
    { name: "Roles", description: "The roles of the node" },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
    { name: "Version", description: "Kubelet Version reported by the node." },
    { name: "Internal-IP", wide: true, description: "List of addresses reachable to the node." },
    { name: "External-IP", wide: true, description: "List of addresses reachable to the node." },
    { name: "OS-Image", wide: true, description: "OS Image reported by the node." },
    { name: "Kernel-Version", wide: true, description: "Kernel Version reported by the node." },
    {
      name: "Container-Runtime",
      wide: true,
      description: "ContainerRuntime Version reported by the node.",
    },
  ],
  cells(object, nowMs) {
    const node = nodeOf(object);
    const info = node.status?.nodeInfo;
    return [
      object.metadata.name ?? "",
      statusWords(node),
      roles(object),
      ageOf(object.metadata.creationTimestamp, nowMs),
      info?.kubeletVersion ?? "",
      addressOf(node, "InternalIP"),
      addressOf(node, "ExternalIP"),
      info?.osImage || "<unknown>",
      info?.kernelVersion || "<unknown>",
      info?.containerRuntimeVersion || "<unknown>",
    ];
  },
  fieldSelectors: {
    "spec.unschedulable": (object) => String(nodeOf(object).spec?.unschedulable ?? false),
  },
  // As in Kubernetes a new node may come with its status: the kubelet posts both at once.
  prepareUpdate: keepStatus,
  subresources: [
    statusSubresource(),
    {
      type: "connect",
      name: "proxy",
      kind: { group: "", version: "v1", kind: "NodeProxyOptions" },
      verbs: ["create", "delete", "get", "patch", "update"],
    },
  ],
});

function statusWords(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === "Ready");
  const words = [ready === undefined ? "Unknown" : ready.status === "True" ? "Ready" : "NotReady"];
  if (node.spec?.unschedulable) words.push("SchedulingDisabled");
  return words.join(",");
}

function roles(object: KubeObject): string {
  const found = new Set<string>();
  for (const [label, value] of Object.entries(object.metadata.labels ?? {})) {
    if (label.startsWith(rolePrefix) && label !== rolePrefix) {
      found.add(label.slice(rolePrefix.length));
    } else if (label === "kubernetes.io/role" && value !== "") {
      found.add(value);
    }
  }
  return [...found].sort().join(",") || "<none>";
}

function addressOf(node: Node, type: string): string {
  return node.status?.addresses?.find((address) => address.type === type)?.address ?? "<none>";
}
