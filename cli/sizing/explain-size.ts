/** A pod's sandbox in numbers and words: kubelet's sum of limits, then the shim's own sizing. */
import { formatBytes, formatCpu } from "../../common/quantity.ts";
import type { Container } from "../../proto/kubernetes/gen/types.ts";
import {
  podLimitsFromAmounts,
  type SizingProfileName,
  sizeVm,
  sizingProfiles,
} from "../../runtime-shim/index.ts";
import { builtinHandlers, defaultHandler } from "../../simulator/runtime/index.ts";
import { amounts, isSidecar, podLimits } from "../../simulator/sizing/pod-resources.ts";
import { cliError } from "../errors.ts";
import type { PodInput } from "./read-pods.ts";

export interface PodSize {
  readonly pod: string;
  readonly runtimeClass: string | undefined;
  readonly sandboxed: boolean;
  readonly profile?: SizingProfileName;
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

/** The built-in RuntimeClasses are named after their handlers; a class of the user's own is not known here. */
function profileOf(runtimeClass: string): SizingProfileName | undefined {
  const options = builtinHandlers.find(({ name }) => name === runtimeClass)?.options;
  return options?.kind === "katasim" ? options.values.sizingProfile : undefined;
}

/** `runtimeClass` stands in for the pod's own. Throws USAGE for a class whose size nobody knows. */
export function explainSize(pod: PodInput, runtimeClass?: string): PodSize {
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
  const profile = profileOf(name);
  if (profile === undefined) {
    throw cliError("USAGE", `RuntimeClass "${name}" has no sizing profile`, {
      hint: `use one of: ${builtinHandlers.map((handler) => handler.name).join(", ")}`,
    });
  }
  const limits = podLimits(spec);
  const size = sizeVm(
    sizingProfiles[profile],
    podLimitsFromAmounts(limits.cpuMillis, limits.memoryBytes),
  );
  return {
    pod: pod.name,
    runtimeClass: name,
    sandboxed: true,
    profile,
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
