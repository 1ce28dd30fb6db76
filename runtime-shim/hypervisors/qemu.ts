/** The QEMU driver: starts the process, supervises it, plugs disks by QMP. */

import { rmSync } from "node:fs";
import type { Socket } from "node:net";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import {
  type ManagedProcess,
  type ProcessExit,
  startProcess,
} from "../../common/process/managed-process.ts";
import { writePidFile } from "../../common/process/process-identity.ts";
import { programPath } from "../../common/process/run-program.ts";
import { acceptOne } from "../../common/sockets/accept-one.ts";
import { shimError } from "../errors.ts";
import { diskBus, diskSlots, qemuCommandLine, qemuProgram } from "./command-line/qemu.ts";
import { type ConsoleLog, openConsoleLog } from "./console-log.ts";
import { createQmpClient, type QmpClient } from "./control/qemu.ts";
import type { Disk, Hypervisor, RunningVm, VmExit, VmSpec } from "./hypervisor.ts";
import { findProgram } from "./probe/kvm.ts";
import { createVmmState } from "./vmm-state.ts";

// ACPI hot-unplug waits for the guest's kernel; measured at 50 ms.
const unplugTimeoutMs = 5_000;
// It takes 50 ms to call back on a quiet machine.
const startTimeoutMs = 20_000;

export function createQemu(options: { readonly log: Logger }): Hypervisor {
  return {
    name: "qemu",
    start: (spec) => startQemu(spec, options.log),
  };
}

async function startQemu(spec: VmSpec, log: Logger): Promise<RunningVm> {
  if (findProgram(qemuProgram) === undefined) {
    throw shimError("VMM_MISSING", `${qemuProgram} is not installed on this machine`, {
      hint: "install the package qemu-system-x86, then run katasim doctor",
    });
  }
  const argv = qemuCommandLine(spec);
  const agent = await acceptOne(spec.agentSocket);
  const control = await acceptOne(spec.controlSocket);
  const consoleLog = openConsoleLog(spec.consoleLog);
  const startedAtMs = performance.now();
  let child: ManagedProcess;
  try {
    child = await startProcess(argv[0] as string, argv.slice(1), {
      onStdout: (chunk) => consoleLog.write(chunk),
      env: { PATH: programPath(), LC_ALL: "C" },
    });
  } catch (cause) {
    agent.close();
    control.close();
    consoleLog.close();
    throw shimError("VMM_MISSING", `cannot execute ${argv[0]}: ${messageOf(cause)}`, { cause });
  }
  writePidFile(spec.pidFile, child.pid);
  log.info({ pid: child.pid, argv }, "VMM started");
  const state = createVmmState();
  const exited = child.exited.then((exit): VmExit => {
    const expected = state.current === "stopping";
    state.move("gone");
    const reason = reasonOf(child, exit, consoleLog);
    agent.close();
    control.close();
    consoleLog.close();
    rmSync(spec.pidFile, { force: true });
    log[expected ? "info" : "error"]({ pid: child.pid, ...exit, reason }, "VMM ended");
    return { reason, expected };
  });
  // The console log closes with the VM: its tail must be read before.
  const stop = async () => {
    if (state.move("stopping")) child.kill("SIGKILL");
    await exited;
  };
  try {
    const client = createQmpClient(await firstOf(control.connection, exited, startTimeoutMs));
    await client.execute("qmp_capabilities");
    state.move("running");
    return {
      pid: child.pid,
      version: await client.version,
      argv,
      startedAtMs,
      agent: firstOf(agent.connection, exited),
      exited,
      ...createDiskVerbs(client),
      consoleTail: () => consoleLog.tail(),
      stop,
    };
  } catch (cause) {
    await stop();
    throw shimError("VMM_START_FAILED", messageOf(cause), { cause });
  }
}

function createDiskVerbs(qmp: QmpClient): Pick<RunningVm, "attachDisk" | "detachDisk"> {
  const slots = new Map<string, number>();
  const names = (serial: string) => ({ node: `n-${serial}`, device: `d-${serial}` });
  return {
    async attachDisk(disk: Disk) {
      if (slots.has(disk.serial)) return;
      const used = new Set(slots.values());
      const slot = Array.from({ length: diskSlots }, (_, i) => i + 1).find((s) => !used.has(s));
      if (slot === undefined) {
        throw shimError("DISK", `all ${diskSlots} disk slots of the sandbox's VM are in use`, {
          hint: "use fewer containers in one pod",
        });
      }
      slots.set(disk.serial, slot);
      const { node, device } = names(disk.serial);
      try {
        await qmp.execute("blockdev-add", {
          "node-name": node,
          driver: "raw",
          "read-only": disk.readOnly,
          // What the guest frees must not keep space on the host.
          ...(disk.readOnly ? {} : { discard: "unmap" }),
          file: { driver: "file", filename: disk.path, "read-only": disk.readOnly },
        });
        try {
          await qmp.execute("device_add", {
            driver: "virtio-blk-pci",
            id: device,
            drive: node,
            serial: disk.serial,
            bus: diskBus,
            addr: `0x${slot.toString(16)}`,
            "disable-legacy": "on",
            "num-queues": 1,
          });
        } catch (error) {
          await qmp.execute("blockdev-del", { "node-name": node }).catch(() => {});
          throw error;
        }
      } catch (cause) {
        slots.delete(disk.serial);
        throw shimError("DISK", `cannot plug ${disk.path}: ${messageOf(cause)}`, { cause });
      }
    },
    async detachDisk(serial) {
      if (!slots.has(serial)) return;
      const { node, device } = names(serial);
      const gone = qmp.waitFor("DEVICE_DELETED", (data) => data.device === device, unplugTimeoutMs);
      gone.catch(() => {});
      await qmp.execute("device_del", { id: device });
      await gone;
      await qmp.execute("blockdev-del", { "node-name": node });
      slots.delete(serial);
    },
  };
}

/** The connection, or a rejection with the reason of the VMM's end or the passing of the time. */
async function firstOf(
  connection: Promise<Socket>,
  exited: Promise<VmExit>,
  timeoutMs?: number,
): Promise<Socket> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    if (timeoutMs === undefined) return;
    const words = `${qemuProgram} did not come up in ${timeoutMs / 1000} s`;
    timer = setTimeout(() => reject(shimError("VMM_START_FAILED", words)), timeoutMs);
  });
  const ended = exited.then(({ reason }): never => {
    throw shimError("VMM_START_FAILED", reason);
  });
  const first = Promise.race([connection, ended, late]).finally(() => clearTimeout(timer));
  for (const promise of [ended, late, first]) promise.catch(() => {});
  return first;
}

/** One true sentence on why QEMU is gone. */
export function reasonOf(
  child: Pick<ManagedProcess, "pid" | "stderrTail">,
  exit: ProcessExit,
  consoleLog: Pick<ConsoleLog, "text">,
): string {
  const who = `the virtual machine monitor (${qemuProgram}, pid ${child.pid})`;
  if (exit.signal !== null) return `${who} was killed by ${exit.signal}`;
  const panic = /Kernel panic[^\n]*/.exec(consoleLog.text());
  if (panic !== null) return `the guest's kernel stopped: ${panic[0]}`;
  if (exit.code === 0) return "the guest powered off";
  const words = child.stderrTail().split("\n").slice(-3).join("; ");
  return `${who} exited with code ${exit.code}${words === "" ? "" : `: ${words}`}`;
}
