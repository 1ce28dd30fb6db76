/**
 * What this node refuses for good, in the kubelet's form (kubelet.go rejectPod): the pod is Failed
 * with a reason, and the message names the thing and the way out. Pure.
 */
import { formatBytes } from "../../common/quantity.ts";
import type { PodSpec } from "../../proto/kubernetes/gen/types.ts";
import type { PodObject } from "../objects.ts";
import type { HandlerStatus } from "../runtime-port.ts";
import { podRequestsWithOverhead } from "../sizing/pod-resources.ts";
import { isSupportedVolume, volumeSource } from "../volumes/index.ts";
import type { MemoryShortage } from "./host-memory.ts";
import type { NodeFacts } from "./pod-dependencies.ts";
import type { Waiting } from "./pod-status.ts";

/** `handler` is undefined when the runtime does not know it: then only the rest is looked at. */
export function refusalOf(pod: PodObject, handler: HandlerStatus | undefined): Waiting | undefined {
  const { spec } = pod;
  const sysctl = (spec.securityContext?.sysctls ?? []).find(({ name }) => !safeSysctls.has(name));
  if (sysctl !== undefined) {
    return {
      reason: "SysctlForbidden",
      message: `forbidden sysctl: "${sysctl.name}" not allowlisted`,
    };
  }
  const problem =
    volumeProblem(spec) ??
    featureProblem(spec) ??
    (handler?.sandboxed && sandboxProblem(spec, handler.name));
  return problem ? { reason: "UnsupportedPodFeature", message: problem } : undefined;
}

function volumeProblem(spec: PodSpec): string | undefined {
  for (const volume of spec.volumes ?? []) {
    if (!isSupportedVolume(volume)) {
      const source = volumeSource(volume);
      const word = source === "csi" ? `csi (driver ${volume.csi?.driver ?? "unknown"})` : source;
      return `volume "${volume.name}" is of kind ${word}, which this node does not provide; it has emptyDir, configMap, secret, downwardAPI, projected and hostPath`;
    }
    if (volume.projected?.sources?.some(({ clusterTrustBundle }) => clusterTrustBundle)) {
      return `volume "${volume.name}" projects a clusterTrustBundle, which this node does not provide`;
    }
  }
  return undefined;
}

function featureProblem(spec: PodSpec): string | undefined {
  if (spec.os?.name === "windows") return "os.name is windows, but this node runs linux";
  if (spec.hostUsers === false) return "hostUsers: false (user namespaces) is not simulated";
  if ((spec.resourceClaims ?? []).length > 0) {
    return "resourceClaims (dynamic resource allocation) are not simulated";
  }
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const block = containers.find(({ volumeDevices }) => (volumeDevices ?? []).length > 0);
  if (block !== undefined) {
    return `container "${block.name}" uses volumeDevices (raw block volumes), which are not simulated`;
  }
  return undefined;
}

// The limitations of Pod Sandboxing as Microsoft's page names them; Kata itself would ignore most of
// them silently (kata-containers docs/Limitations.md).
function sandboxProblem(spec: PodSpec, handler: string): string | undefined {
  const inSandbox = `cannot be used with the sandboxed runtime handler "${handler}"`;
  const share = "a micro-VM has a kernel of its own and shares none of the node's namespaces";
  if (spec.hostNetwork)
    return `hostNetwork ${inSandbox}: ${share}. Remove hostNetwork or the runtimeClassName`;
  if (spec.hostPID) return `hostPID ${inSandbox}: ${share}. Remove hostPID or the runtimeClassName`;
  if (spec.hostIPC) return `hostIPC ${inSandbox}: ${share}. Remove hostIPC or the runtimeClassName`;
  return undefined;
}

/** kubelet lifecycle/predicate.go: what the node cannot hold beside the pods it has. */
export function resourceRefusal(
  pod: PodObject,
  others: readonly PodObject[],
  node: NodeFacts,
): Waiting | undefined {
  if (others.length + 1 > node.maxPods) {
    return outOf("pods", 1, others.length, node.maxPods, String);
  }
  const wanted = podRequestsWithOverhead(pod.spec);
  const used = others.map(({ spec }) => podRequestsWithOverhead(spec));
  const sum = (pick: (amounts: typeof wanted) => number | undefined) =>
    used.reduce((total, amounts) => total + (pick(amounts) ?? 0), 0);
  const cpu = node.allocatable.cpuMillis ?? 0;
  const usedCpu = sum((amounts) => amounts.cpuMillis);
  if ((wanted.cpuMillis ?? 0) > 0 && usedCpu + (wanted.cpuMillis ?? 0) > cpu) {
    return outOf("cpu", wanted.cpuMillis ?? 0, usedCpu, cpu, String);
  }
  const memory = node.allocatable.memoryBytes ?? 0;
  const usedMemory = sum((amounts) => amounts.memoryBytes);
  if ((wanted.memoryBytes ?? 0) > 0 && usedMemory + (wanted.memoryBytes ?? 0) > memory) {
    return outOf("memory", wanted.memoryBytes ?? 0, usedMemory, memory, String);
  }
  return undefined;
}

function outOf(
  resource: string,
  requested: number,
  used: number,
  capacity: number,
  text: (amount: number) => string,
): Waiting {
  return {
    reason: `OutOf${resource}`,
    message: `Node didn't have enough resource: ${resource}, requested: ${text(requested)}, used: ${text(used)}, capacity: ${text(capacity)}`,
  };
}

/** The node's machine, not the node's books, is full: no kubelet has words for it, so these are ours. */
export function memoryRefusal(shortage: MemoryShortage): Waiting {
  const { kind, neededMib, availableMib, totalMib, reserveMib } = shortage;
  const mib = (amount: number) => formatBytes(amount * 1024 * 1024);
  const reserve = `${reserveMib} MiB are kept for the machine itself (up --memory-reserve)`;
  const why =
    kind === "ever"
      ? `The micro-VM may take ${neededMib} MiB but this machine has ${totalMib} MiB, of which ${reserve}: lower the containers' memory limits or use a machine with more memory`
      : `The micro-VM needs ${neededMib} MiB to start but this machine has ${availableMib} MiB free, of which ${reserve}: delete other sandboxed pods, lower the containers' memory requests and limits, or use a machine with more memory`;
  return {
    reason: "OutOfmemory",
    message: `Node didn't have enough resource: memory, requested: ${mib(neededMib)}, used: ${mib(totalMib - availableMib)}, capacity: ${mib(totalMib)}. ${why}`,
  };
}

// kubelet sysctl/safe_sysctls.go.
const safeSysctls = new Set([
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_wmem",
]);
