/**
 * Values a pod may learn about itself: fieldRef and resourceFieldRef, for environment variables and
 * downward API files. Sources: kubernetes pkg/fieldpath/fieldpath.go, kubelet_pods.go
 * podFieldSelectorRuntimeValue, pkg/api/v1/resource/helpers.go.
 */
import { formatBytes, formatCpu, parseNano } from "../../common/quantity.ts";
import type {
  Container,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from "../../proto/kubernetes/gen/types.ts";
import { agentError } from "../errors.ts";
import type { PodObject } from "../objects.ts";
import type { ResourceAmounts } from "../sizing/pod-resources.ts";

/** What only the node knows about the pod. */
export interface PodFacts {
  readonly nodeName: string;
  readonly hostIp: string;
  /** Absent until the sandbox has its address. */
  readonly podIp?: string;
  /** What a container without a limit is told it has. */
  readonly allocatable: ResourceAmounts & { readonly ephemeralStorageBytes: number };
}

/** Throws CONTAINER_CONFIG for a path Kubernetes does not know. */
export function fieldRefValue(
  pod: PodObject,
  selector: ObjectFieldSelector,
  facts: PodFacts,
): string {
  const path = selector.fieldPath;
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (subscript) {
    const map = subscript[1] === "labels" ? pod.metadata.labels : pod.metadata.annotations;
    return map?.[subscript[2] ?? ""] ?? "";
  }
  switch (path) {
    case "metadata.name":
      return pod.metadata.name;
    case "metadata.namespace":
      return pod.metadata.namespace;
    case "metadata.uid":
      return pod.metadata.uid;
    case "metadata.labels":
      return formatMap(pod.metadata.labels);
    case "metadata.annotations":
      return formatMap(pod.metadata.annotations);
    case "spec.nodeName":
      return pod.spec.nodeName ?? facts.nodeName;
    case "spec.serviceAccountName":
      return pod.spec.serviceAccountName ?? "";
    case "status.hostIP":
    case "status.hostIPs":
      return facts.hostIp;
    case "status.podIP":
    case "status.podIPs":
      return facts.podIp ?? "";
    default:
      throw agentError("CONTAINER_CONFIG", `unsupported fieldPath: ${path}`);
  }
}

/** Sorted `key="value"` lines (fieldpath.FormatMap). */
export function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.keys(map ?? {})
    .sort()
    .map((key) => `${key}=${JSON.stringify(map?.[key])}`)
    .join("\n");
}

const gib = 1024 ** 3;

/** The value in units of the divisor, rounded up. `own` is used when no container is named. */
export function resourceFieldValue(
  pod: PodObject,
  selector: ResourceFieldSelector,
  own: Container | undefined,
  facts: PodFacts,
): string {
  const container =
    selector.containerName === undefined || selector.containerName === ""
      ? own
      : [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(
          (each) => each.name === selector.containerName,
        );
  if (container === undefined) {
    throw agentError("CONTAINER_CONFIG", `container ${selector.containerName ?? ""} not found`);
  }
  const [kind, ...rest] = selector.resource.split(".");
  const resource = rest.join(".");
  if ((kind !== "limits" && kind !== "requests") || !known.has(resource)) {
    throw agentError("CONTAINER_CONFIG", `Unsupported container resource : ${selector.resource}`);
  }
  const { limits, requests } = container.resources ?? {};
  const asked =
    kind === "limits" ? limits?.[resource] : (requests?.[resource] ?? limits?.[resource]);
  const quantity = asked ?? (kind === "limits" ? nodeQuantity(resource, facts) : "0");
  const value = parseNano(quantity) ?? 0n;
  const divisor = parseNano(selector.divisor ?? "1") || 1_000_000_000n;
  return String((value + divisor - 1n) / divisor);
}

const known = new Set(["cpu", "memory", "ephemeral-storage"]);

function nodeQuantity(resource: string, facts: PodFacts): string {
  const { cpuMillis = 1000, memoryBytes = gib, ephemeralStorageBytes } = facts.allocatable;
  if (resource === "cpu") return formatCpu(cpuMillis);
  return formatBytes(resource === "memory" ? memoryBytes : ephemeralStorageBytes);
}
