/** The QEMU driver: its control connection, and disks and folders plugged by QMP. */
import { closeSync, existsSync, ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { acceptOne } from "../../common/sockets/accept-one.ts";
import { closeToVmm, giveTo, socketInPlace } from "../confinement/vmm-place.ts";
import { shimError } from "../errors.ts";
import {
  type MemoryFile,
  pluggedSlots,
  qemuArguments,
  qemuCommandLine,
  qemuEnvironment,
  qemuProgram,
  qemuRestoreCommandLine,
} from "./command-line/qemu.ts";
import { createQmpClient } from "./control/qemu.ts";
import { loadState, type MigrationSocket, saveState } from "./control/qemu-migration.ts";
import type { Disk, Hypervisor, RunningVm, VmSpec } from "./hypervisor.ts";
import { createPciSlots } from "./pci-slots.ts";
import { createDiskVerbs } from "./qemu-disks.ts";
import { createMachineVerbs } from "./qemu-machine.ts";
import { assertReadable, assertSavable, commonSpec } from "./snapshot-rules.ts";
import { assertInstalled, startVmm } from "./vmm-process.ts";

// ACPI hot-unplug waits for the guest's kernel; measured at 50 ms.
const unplugTimeoutMs = 5_000;
// It takes 50 ms to call back on a quiet machine.
const startTimeoutMs = 20_000;
// Its last words about a state it cannot take come at once.
const lastWordsTimeoutMs = 2_000;
const stateFile = "qemu-state";
const memoryFile = "qemu-memory";

const installation = {
  name: qemuProgram,
  hint: "install the package qemu-system-x86, then run katasim doctor",
};

const StatusSchema = z.object({ running: z.boolean() });

export function createQemu(options: { readonly log: Logger }): Hypervisor {
  return {
    name: "qemu",
    describe: (spec) => ({
      program: assertInstalled(installation),
      machine: qemuArguments(commonSpec(spec)),
    }),
    start: (spec) => startQemu(spec, options.log),
    hasDiskSlots: true,
    restore: (spec, folder, disk) => startQemu(spec, options.log, { folder, disk }),
  };
}

interface Saved {
  readonly folder: string;
  readonly disk: Promise<Disk> | undefined;
}

async function startQemu(spec: VmSpec, log: Logger, saved?: Saved): Promise<RunningVm> {
  const snapshot = saved?.folder;
  const memory = memoryOf(spec, snapshot);
  const commandLine = snapshot === undefined ? qemuCommandLine : qemuRestoreCommandLine;
  const program = {
    ...installation,
    argv: commandLine(spec, memory),
    env: qemuEnvironment(spec, memory),
  };
  assertInstalled(program);
  if (snapshot !== undefined) assertReadable(join(snapshot, stateFile));
  if (memory?.use === "written") makeMemoryFile(spec, memory.path);
  const agent = await acceptOne(spec.agentSocket);
  const control = await acceptOne(spec.controlSocket);
  for (const path of [spec.agentSocket, spec.controlSocket]) giveTo(spec.place, path);
  const vmm = await startVmm(program, spec, {
    log,
    onEnd() {
      agent.close();
      control.close();
    },
  });
  try {
    const connection = await vmm.whileAlive(control.connection, startTimeoutMs);
    spec.onRunning?.(vmm.pid);
    const qmp = createQmpClient(connection);
    await qmp.execute("qmp_capabilities");
    const slots = createPciSlots(pluggedSlots);
    const unplug = async (device: string) => {
      const gone = qmp.waitFor("DEVICE_DELETED", (data) => data.device === device, unplugTimeoutMs);
      gone.catch(() => {});
      await qmp.execute("device_del", { id: device });
      await gone;
    };
    const diskVerbs = createDiskVerbs(qmp, spec, vmm.pid, slots, unplug);
    const machineVerbs = createMachineVerbs(qmp, spec, slots, unplug);
    const migration = migrationSocket(spec);
    if (snapshot !== undefined) {
      const disk = await saved?.disk;
      try {
        await loadState(qmp, migration, join(snapshot, stateFile), memory !== undefined);
        // Before the guest could read what is not there, or write what nobody keeps.
        if (disk !== undefined) await diskVerbs.attachDisk(disk);
        await qmp.execute("cont");
      } catch (error) {
        const exit = await Promise.race([vmm.exited, sleep(lastWordsTimeoutMs)]);
        throw exit === undefined ? error : shimError("VMM_START_FAILED", exit.reason);
      }
    }
    vmm.isRunning();
    void qmp.closed.then((reason) => vmm.abandon(reason));
    const { attachDisk, detachDisk } = diskVerbs;
    const attachFolder = memory?.use === "copied" ? refuseFolder : diskVerbs.attachFolder;
    const { attachNic, detachNic, resize } = machineVerbs;
    return {
      ...vmm,
      version: await qmp.version,
      agent: vmm.whileAlive(agent.connection),
      ...{ attachDisk, detachDisk, attachFolder, attachNic, detachNic, resize },
      // A power button would do nothing: in the guest nobody minds it.
      shutdown: () => vmm.endBy(() => qmp.execute("quit")),
      async pause() {
        await qmp.execute("stop");
      },
      async resume() {
        await qmp.execute("cont");
      },
      async snapshot(folder) {
        assertSavable(diskVerbs, machineVerbs);
        const { running } = StatusSchema.parse(await qmp.execute("query-status"));
        if (running) throw shimError("VMM_CONTROL", "the VM runs: pause it before a snapshot");
        await saveState(qmp, migration, join(folder, stateFile), memory !== undefined);
        // The VM never goes on.
        if (memory !== undefined) closeToVmm(memory.path);
      },
    };
  } catch (cause) {
    // The console log closes with the VM: its tail must be read before.
    await vmm.stop();
    throw shimError("VMM_START_FAILED", messageOf(cause), { cause });
  }
}

/** Its daemon would map the saved pages, and hang or write to them. */
async function refuseFolder(): Promise<never> {
  throw shimError("VMM_CONTROL", "a VM whose memory is a copy of a template's shares no folders");
}

function memoryOf({ savedTo }: VmSpec, snapshot: string | undefined): MemoryFile | undefined {
  if (savedTo !== undefined) return { path: join(savedTo, memoryFile), use: "written" };
  const path = snapshot === undefined ? undefined : join(snapshot, memoryFile);
  // A snapshot of a VM that was not made for it holds its memory with its state.
  return path !== undefined && existsSync(path) ? { path, use: "copied" } : undefined;
}

function makeMemoryFile({ place, memoryMib }: VmSpec, path: string): void {
  try {
    // "wx": never one that somebody else has open.
    const file = openSync(path, "wx", 0o600);
    ftruncateSync(file, memoryMib * 2 ** 20);
    closeSync(file);
  } catch (cause) {
    throw shimError("DISK", `cannot make ${path}: ${messageOf(cause)}`, { cause });
  }
  giveTo(place, path);
}

function migrationSocket({ place, controlSocket }: VmSpec): MigrationSocket {
  const path = `${controlSocket}.m`;
  return { path, pathInPlace: socketInPlace(place, path), give: () => giveTo(place, path) };
}
