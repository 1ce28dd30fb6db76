/** The Node's conditions in the kubelet's order and words: kubelet nodestatus/setters.go. Pure. */
import type { NodeCondition } from "../../proto/kubernetes/gen/types.ts";
import type { HandlerStatus } from "../runtime-port.ts";
import type { HostPressure } from "./host-facts.ts";

// Hard eviction thresholds: AKS' memory.available and the kubelet's least of processes. The disk is
// the user's own, so what counts is that something is left, not a tenth of it.
const leastMemoryMib = 100;
const leastDiskBytes = 1024 ** 3;
const leastPids = 2_000;

type Body = Pick<NodeCondition, "type" | "status" | "reason" | "message">;

export function nodeConditions(
  pressure: HostPressure,
  handlers: readonly HandlerStatus[],
): readonly Body[] {
  return [
    virtualization(handlers),
    pressureCondition(
      "MemoryPressure",
      pressure.memoryAvailableMib < leastMemoryMib,
      ["KubeletHasInsufficientMemory", "kubelet has insufficient memory available"],
      ["KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
    ),
    pressureCondition(
      "DiskPressure",
      pressure.diskAvailableBytes < leastDiskBytes,
      ["KubeletHasDiskPressure", "kubelet has disk pressure"],
      ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
    ),
    pressureCondition(
      "PIDPressure",
      pressure.pidsAvailable < leastPids,
      ["KubeletHasInsufficientPID", "kubelet has insufficient PID available"],
      ["KubeletHasSufficientPID", "kubelet has sufficient PID available"],
    ),
    readyCondition(handlers),
  ];
}

function pressureCondition(
  type: string,
  under: boolean,
  bad: readonly [reason: string, message: string],
  good: readonly [reason: string, message: string],
): Body {
  const [reason, message] = under ? bad : good;
  return { type, status: under ? "True" : "False", reason, message };
}

/** Which rung of the hypervisor ladder sandboxes stand on, and why. */
function virtualization(handlers: readonly HandlerStatus[]): Body {
  const type = "katasim.dev/HardwareVirtualization";
  const sandboxed = handlers.find((handler) => handler.sandboxed && handler.usable);
  if (sandboxed === undefined) {
    const broken = handlers.find((handler) => handler.sandboxed);
    return {
      type,
      status: "Unknown",
      reason: "NoSandboxRuntime",
      message: broken?.reason ?? "no sandboxed runtime handler is configured",
    };
  }
  const { hypervisor = "unknown", accelerator = "unknown", reason } = sandboxed;
  const hardware = accelerator === "kvm" || accelerator === "mshv";
  return {
    type,
    status: hardware ? "True" : "False",
    reason: hardware ? "HardwareAcceleration" : "SoftwareEmulation",
    message: `sandboxes run on ${hypervisor}/${accelerator}: ${reason}`,
  };
}

function readyCondition(handlers: readonly HandlerStatus[]): Body {
  if (handlers.some(({ usable }) => usable)) {
    return {
      type: "Ready",
      status: "True",
      reason: "KubeletReady",
      message: "kubelet is posting ready status",
    };
  }
  const why = handlers.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
  return {
    type: "Ready",
    status: "False",
    reason: "KubeletNotReady",
    message: `container runtime is down: ${why || "no runtime handler is configured"}`,
  };
}
