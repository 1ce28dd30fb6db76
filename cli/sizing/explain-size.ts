/** A pod's sandbox in numbers and words: kubelet's sum of limits, then the shim's own sizing. */
import { formatBytes, formatCpu } from "../../common/quantity.ts";
import type { Container } from "../../proto/kubernetes/gen/types.ts";
import {
  type PodLimits,
  podLimitsFromAmounts,
  sizeVm,
  sizingProfiles,
  type VmSize,
} from "../../runtime-shim/index.ts";
import { builtinHandlers, defaultHandler } from "../../simulator/runtime/index.ts";
import { amounts, isSidecar, podLimits } from "../../simulator/sizing/pod-resources.ts";
import { cliError } from "../errors.ts";
import type { PodInput } from "./read-pods.ts";

export interface PodSize {
  readonly pod: string;
  readonly runtimeClass: string | undefined;
  readonly sandboxed: boolean;
  readonly profile?: string;
  readonly vcpus?: number;
  readonly memoryMib?: number;
  readonly containers: ReadonlyArray<{
    readonly name: string;
    readonly kind: "container" | "init container" | "sidecar";
    readonly cpu: string | undefined;
    readonly memory: string | undefined;
  }>;
  /** The arithmetic, one step a line. */
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
}

/** What sizes the pods of a handler. */
export interface Sizer {
  readonly profile: string;
  size(limits: PodLimits): VmSize;
}

/** Handler → what sizes its pods; the built-in RuntimeClasses are named after their handlers. */
export type Sizers = Readonly<Record<string, Sizer>>;

/** Our own shim's rules. */
export const builtinSizers: Sizers = Object.fromEntries(
  builtinHandlers.flatMap(({ name, options }) => {
    const profile = options.kind === "katasim" ? options.values.sizingProfile : undefined;
    if (profile === undefined) return [];
    return [[name, { profile, size: (limits) => sizeVm(sizingProfiles[profile], limits) }]];
  }),
);

/** `runtimeClass` stands in for the pod's own. Throws USAGE for a class whose size nobody knows. */
export function explainSize(
  pod: PodInput,
  runtimeClass?: string,
  sizers: Sizers = builtinSizers,
): PodSize {
  const { spec } = pod;
  const name = runtimeClass ?? spec.runtimeClassName;
  const containers = [
    ...(spec.initContainers ?? []).map((one) =>
      describe(one, isSidecar(one) ? "sidecar" : "init container"),
    ),
    ...spec.containers.map((one) => describe(one, "container")),
  ];
  if (name === undefined || name === defaultHandler) {
    return {
      pod: pod.name,
      runtimeClass: name,
      sandboxed: false,
      containers,
      lines: ["no sandbox: it shares the node's kernel, CPUs and memory, within its limits"],
      warnings: [],
    };
  }
  const sizer = sizers[name];
  if (sizer === undefined) {
    throw cliError("USAGE", `RuntimeClass "${name}" has no sizing profile`, {
      hint: `use one of: ${builtinHandlers.map((handler) => handler.name).join(", ")}`,
    });
  }
  const limits = podLimits(spec);
  const size = sizer.size(podLimitsFromAmounts(limits.cpuMillis, limits.memoryBytes));
  return {
    pod: pod.name,
    runtimeClass: name,
    sandboxed: true,
    profile: sizer.profile,
    vcpus: size.vcpus,
    memoryMib: size.memoryMib,
    containers,
    lines: [sumLine(limits), ...size.lines],
    warnings: requestWarnings(pod),
  };
}

function describe(
  container: Container,
  kind: "container" | "init container" | "sidecar",
): PodSize["containers"][number] {
  const { cpuMillis, memoryBytes } = amounts(container.resources?.limits);
  return {
    name: container.name,
    kind,
    cpu: cpuMillis === undefined ? undefined : formatCpu(cpuMillis),
    memory: memoryBytes === undefined ? undefined : formatBytes(memoryBytes),
  };
}

function sumLine(limits: { readonly cpuMillis?: number; readonly memoryBytes?: number }): string {
  const cpu = limits.cpuMillis === undefined ? "none" : formatCpu(limits.cpuMillis);
  const memory = limits.memoryBytes === undefined ? "none" : formatBytes(limits.memoryBytes);
  return `sum of limits (the larger of all containers and any init container): cpu ${cpu}, memory ${memory}`;
}

/** Requests never size a sandbox: whoever only set requests should hear it. */
function requestWarnings({ spec }: PodInput): readonly string[] {
  return [...(spec.initContainers ?? []), ...spec.containers].flatMap((container) => {
    const requests = amounts(container.resources?.requests);
    const limits = amounts(container.resources?.limits);
    const ignored = [
      ...(requests.cpuMillis !== undefined && limits.cpuMillis === undefined
        ? [`cpu ${formatCpu(requests.cpuMillis)}`]
        : []),
      ...(requests.memoryBytes !== undefined && limits.memoryBytes === undefined
        ? [`memory ${formatBytes(requests.memoryBytes)}`]
        : []),
    ];
    return ignored.length === 0
      ? []
      : [
          `container ${container.name} requests ${ignored.join(" and ")}: only limits size a sandbox`,
        ];
  });
}
