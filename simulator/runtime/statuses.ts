/** Records as the agent's port shows them. */
import { readVmRecord } from "../../runtime-shim/index.ts";
import type { ContainerStatus, SandboxStatus, VmFacts } from "../runtime-port.ts";
import type { RuntimeContext } from "./context.ts";
import { kataVmFacts } from "./kata/vm.ts";
import { sandboxLayout } from "./layout.ts";
import type { LiveContainer, LiveSandbox } from "./live-state.ts";

export function sandboxStatus(context: RuntimeContext, sandbox: LiveSandbox): SandboxStatus {
  const { record } = sandbox;
  const { id, handler, spec, createdAtMs, state, ip, limit, reason, kata, taskPid } = record;
  const vm =
    kata === undefined || taskPid === undefined ? vmFacts(context, id) : kataVmFacts(kata, taskPid);
  return {
    id,
    state: state === "ready" ? "ready" : "notready",
    handler,
    podUid: spec.podUid,
    attempt: spec.attempt,
    createdAtMs,
    ...(ip === undefined ? {} : { ip }),
    ...(limit === undefined ? {} : { networkLimit: limit }),
    ...(reason === undefined ? {} : { reason }),
    ...(vm === undefined ? {} : { vm }),
  };
}

export function containerStatus(container: LiveContainer): ContainerStatus {
  const { spec, inShim: _inShim, stopSignal: _stopSignal, ...record } = container.record;
  return {
    ...record,
    name: spec.name,
    attempt: spec.attempt,
    image: spec.image,
    logPath: spec.logPath,
  };
}

function vmFacts(context: RuntimeContext, sandboxId: string): VmFacts | undefined {
  const record = readVmRecord(sandboxLayout(context.paths, sandboxId).bundle);
  if (record === undefined) return undefined;
  return {
    hypervisor: record.hypervisor,
    accelerator: record.accelerator,
    vcpus: record.vcpus,
    memoryMib: record.memoryMib,
    pid: record.vmmPid,
    kernelRelease: record.kernelRelease,
    bootId: record.bootId,
    startKind: record.startKind,
    bootMs: record.bootMs,
    consoleLog: record.consoleLog,
  };
}
