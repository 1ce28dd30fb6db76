/**
 * The arithmetic from a pod's limits to its VM, with every step in words. Pure.
 * Rules: kata-containers src/runtime/pkg/oci/utils.go CalculateSandboxSizing (memory in whole MiB,
 * truncated; one rounding up over the sum of CPUs).
 */
import { shimError } from "../errors.ts";
import type { SizingProfile } from "./profiles.ts";

/** Sum over the pod's containers as kubelet's AggregateContainerLimits makes it. */
export interface PodLimits {
  /** CFS quota in microseconds per period; absent or ≤ 0 = no container has a CPU limit. */
  readonly cpuQuotaUs?: number;
  /** Default 100 000. */
  readonly cpuPeriodUs?: number;
  /** Absent or 0 = no container has a memory limit. */
  readonly memoryBytes?: number;
}

export interface VmSize {
  readonly vcpus: number;
  readonly memoryMib: number;
  /** CPU time the VM may take, in thousandths of a core: before the rounding up to whole vCPUs. */
  readonly cpuMillis: number;
  /** One sentence per line: profile, vCPUs, memory. */
  readonly lines: readonly string[];
}

const defaultPeriodUs = 100_000;
const bytesPerMib = 1024 * 1024;

/** Throws POD_TOO_SMALL with Kata's own words below the profile's minimum. */
export function sizeVm(profile: SizingProfile, limits: PodLimits): VmSize {
  const { withoutLimits } = profile;
  if (withoutLimits !== undefined && !hasCpuLimit(limits) && (limits.memoryBytes ?? 0) <= 0) {
    const { vcpus, memoryMib } = withoutLimits;
    const plain = {
      ...{ baseVcpus: 0, defaultVcpus: vcpus, baseMemoryMib: 0, defaultMemoryMib: memoryMib },
      ...{ name: profile.name, source: profile.source, minimumMemoryMib: 0 },
    };
    return sizeVm(plain, limits);
  }
  const vcpus = vcpusOf(profile, limits);
  const memory = memoryOf(profile, limits);
  return {
    vcpus: vcpus.value,
    memoryMib: memory.value,
    cpuMillis: cpuMillisOf(profile, limits, vcpus.value),
    lines: [`profile ${profile.name}: ${profile.source}`, vcpus.line, memory.line],
  };
}

/** The annotations containerd's CRI plugin puts on a sandbox; a bad number counts as absent, as in Kata. */
export function podLimitsFromAnnotations(annotations: Readonly<Record<string, string>>): PodLimits {
  const read = (key: string) => wholeNumber(annotations[`io.kubernetes.cri.sandbox-${key}`]);
  const quota = read("cpu-quota");
  const period = read("cpu-period");
  const memory = read("memory");
  return {
    ...(quota === undefined ? {} : { cpuQuotaUs: quota }),
    ...(period === undefined ? {} : { cpuPeriodUs: period }),
    ...(memory === undefined ? {} : { memoryBytes: memory }),
  };
}

/** From Kubernetes amounts, for whoever has no annotations. */
export function podLimitsFromAmounts(cpuMillis?: number, memoryBytes?: number): PodLimits {
  return {
    ...(cpuMillis === undefined
      ? {}
      : { cpuQuotaUs: cpuMillis * 100, cpuPeriodUs: defaultPeriodUs }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  };
}

function hasCpuLimit({ cpuQuotaUs = 0, cpuPeriodUs = 0 }: PodLimits): boolean {
  return cpuQuotaUs > 0 && cpuPeriodUs >= 0;
}

function cpuMillisOf(profile: SizingProfile, limits: PodLimits, vcpus: number): number {
  if (!hasCpuLimit(limits)) return vcpus * 1000;
  const quota = limits.cpuQuotaUs ?? 0;
  const period = limits.cpuPeriodUs || defaultPeriodUs;
  return Math.ceil(profile.baseVcpus * 1000 + (quota * 1000) / period);
}

interface Step {
  readonly value: number;
  readonly line: string;
}

function vcpusOf(profile: SizingProfile, limits: PodLimits): Step {
  if (!hasCpuLimit(limits)) {
    const value = Math.max(1, Math.ceil(profile.baseVcpus + profile.defaultVcpus));
    return { value, line: `vCPUs: no container has a CPU limit, so ${value}` };
  }
  const quota = limits.cpuQuotaUs ?? 0;
  const period = limits.cpuPeriodUs || defaultPeriodUs;
  // Whole numbers until the division: 0.1 + 0.2 cores must not become a third vCPU.
  const base = Math.round(profile.baseVcpus * period);
  const value = Math.max(1, Math.ceil((quota + base) / period));
  const cores = cores3(quota, period);
  const total = cores3(quota + base, period);
  const sum =
    profile.baseVcpus === 0
      ? `${cores} (sum of CPU limits)`
      : `${profile.baseVcpus} (base) + ${cores} (sum of CPU limits) = ${total}`;
  const rounding = total === String(value) ? "" : `, rounded up to ${value}`;
  return { value, line: `vCPUs: ${sum}${rounding}` };
}

function memoryOf(profile: SizingProfile, limits: PodLimits): Step {
  const bytes = limits.memoryBytes ?? 0;
  if (bytes <= 0) {
    const value = profile.baseMemoryMib + profile.defaultMemoryMib;
    return { value, line: `memory: no container has a memory limit, so ${value} MiB` };
  }
  const step = profile.memoryStepMib ?? 1;
  const limitMib = Math.ceil(Math.floor(bytes / bytesPerMib) / step) * step;
  if (limitMib < profile.minimumMemoryMib) {
    throw shimError(
      "POD_TOO_SMALL",
      `pod memory limit too low: minimum ${profile.minimumMemoryMib}MiB, got ${limitMib}MiB`,
      { hint: `raise the sum of the containers' memory limits to ${profile.minimumMemoryMib}Mi` },
    );
  }
  const value = profile.baseMemoryMib + limitMib;
  const sum =
    profile.baseMemoryMib === 0
      ? `${limitMib} MiB (sum of memory limits)`
      : `${profile.baseMemoryMib} MiB (base) + ${limitMib} MiB (sum of memory limits) = ${value} MiB`;
  return { value, line: `memory: ${sum}` };
}

/** At most three decimals: milli-CPUs are the finest amount there is. */
function cores3(quota: number, period: number): string {
  return String(Math.round((quota / period) * 1000) / 1000);
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^-?\d+$/.test(text)) return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : undefined;
}
