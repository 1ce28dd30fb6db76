/**
 * What a pod asks for as a whole and container by container, counted as the kubelet counts:
 * component-helpers/resource/helpers.go (PodRequests, PodLimits, AggregateContainerLimits) and
 * kubelet kuberuntime_container_linux.go (calculateLinuxResources). Overhead is left out of what is
 * sent to the runtime and counted by admission.
 */
import { toMillis, toUnits } from "../../common/quantity.ts";
import type { Container, PodSpec, ResourceRequirements } from "../../proto/kubernetes/gen/types.ts";
import type { LinuxResources } from "../runtime-port.ts";

/** CPU in thousandths, memory in bytes; absent = nobody asked. */
export interface ResourceAmounts {
  readonly cpuMillis?: number;
  readonly memoryBytes?: number;
}

// The kernel's default CFS period; the kubelet's --cpu-cfs-quota-period default.
const cpuPeriodUs = 100_000;
// Below 1 ms the kernel refuses a quota (kubelet cm/helpers_linux.go MinQuotaPeriod).
const minCpuQuotaUs = 1_000;
// Bounds of cgroup v1 cpu.shares (kubelet cm/helpers_linux.go).
const minCpuShares = 2;
const maxCpuShares = 262_144;

export function isSidecar(container: { readonly restartPolicy?: string }): boolean {
  return container.restartPolicy === "Always";
}

/** Sum of limits: max(app containers + sidecars, each init container + the sidecars before it). */
export function podLimits(spec: PodSpec): ResourceAmounts {
  return override(aggregate(spec, "limits"), spec.resources?.limits);
}

/** As `podLimits` over requests, where a missing request is the container's limit. */
export function podRequests(spec: PodSpec): ResourceAmounts {
  return override(aggregate(spec, "requests"), spec.resources?.requests);
}

/** Requests plus the RuntimeClass overhead: what scheduling and admission count. */
export function podRequestsWithOverhead(spec: PodSpec): ResourceAmounts {
  return add(podRequests(spec), amounts(spec.overhead));
}

/** The sandbox's resources, without overhead: what containerd puts in the sandbox annotations. */
export function sandboxResources(spec: PodSpec): LinuxResources {
  return linuxResources(podRequests(spec), podLimits(spec));
}

export function containerResources(container: {
  readonly resources?: ResourceRequirements;
}): LinuxResources {
  return linuxResources(
    amounts(container.resources?.requests),
    amounts(container.resources?.limits),
  );
}

function linuxResources(requests: ResourceAmounts, limits: ResourceAmounts): LinuxResources {
  const cpuLimit = limits.cpuMillis ?? 0;
  const memoryLimit = limits.memoryBytes ?? 0;
  return {
    cpuShares: cpuSharesFromMillis(requests.cpuMillis ?? cpuLimit),
    ...(cpuLimit > 0 ? { cpuQuotaUs: cpuQuotaFromMillis(cpuLimit), cpuPeriodUs } : {}),
    ...(memoryLimit > 0 ? { memoryBytes: memoryLimit } : {}),
  };
}

export function cpuSharesFromMillis(cpuMillis: number): number {
  const shares = Math.floor((cpuMillis * 1024) / 1000);
  return Math.min(Math.max(shares, minCpuShares), maxCpuShares);
}

export function cpuQuotaFromMillis(cpuMillis: number): number {
  return Math.max(Math.floor((cpuMillis * cpuPeriodUs) / 1000), minCpuQuotaUs);
}

function aggregate(spec: PodSpec, kind: "limits" | "requests"): ResourceAmounts {
  let total: ResourceAmounts = {};
  for (const container of spec.containers) total = add(total, ofContainer(container, kind));
  let sidecars: ResourceAmounts = {};
  let initPeak: ResourceAmounts = {};
  for (const container of spec.initContainers ?? []) {
    const own = ofContainer(container, kind);
    if (isSidecar(container)) {
      total = add(total, own);
      sidecars = add(sidecars, own);
      initPeak = max(initPeak, sidecars);
    } else {
      initPeak = max(initPeak, add(own, sidecars));
    }
  }
  return max(total, initPeak);
}

function ofContainer(container: Container, kind: "limits" | "requests"): ResourceAmounts {
  const own = amounts(container.resources?.[kind]);
  // The API server copies a limit to a missing request; a static or old object may lack it.
  return kind === "requests" ? { ...amounts(container.resources?.limits), ...own } : own;
}

/** "cpu" and "memory" of a resource list. Throws RangeError on a bad quantity. */
export function amounts(list: Readonly<Record<string, string>> | undefined): ResourceAmounts {
  return {
    ...(list?.cpu === undefined ? {} : { cpuMillis: toMillis(list.cpu) }),
    ...(list?.memory === undefined ? {} : { memoryBytes: toUnits(list.memory) }),
  };
}

function override(
  sum: ResourceAmounts,
  podLevel: Readonly<Record<string, string>> | undefined,
): ResourceAmounts {
  return { ...sum, ...amounts(podLevel) };
}

function combine(
  a: ResourceAmounts,
  b: ResourceAmounts,
  join: (x: number, y: number) => number,
): ResourceAmounts {
  const cpuMillis = joined(a.cpuMillis, b.cpuMillis, join);
  const memoryBytes = joined(a.memoryBytes, b.memoryBytes, join);
  return {
    ...(cpuMillis === undefined ? {} : { cpuMillis }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  };
}

function joined(
  x: number | undefined,
  y: number | undefined,
  join: (x: number, y: number) => number,
): number | undefined {
  return x === undefined ? y : y === undefined ? x : join(x, y);
}

const add = (a: ResourceAmounts, b: ResourceAmounts) => combine(a, b, (x, y) => x + y);
const max = (a: ResourceAmounts, b: ResourceAmounts) => combine(a, b, Math.max);
