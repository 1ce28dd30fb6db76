/**
 * A template: a VM that is booted, whose agent has answered and has a first disk, where the hypervisor can
 * save that, too; saved before anything makes it one of its own.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../common/log.ts";
import { processorTimeMs } from "../../common/process/processor-time.ts";
import { makeSocketFolder, vmmPlace } from "../confinement/vmm-place.ts";
import { plugDisk } from "../disks/plug-disk.ts";
import { createListenerSwitch } from "../guest-client/listener-switch.ts";
import type { GuestFiles } from "../hypervisors/guest-files.ts";
import type { Hypervisor, VmSpec } from "../hypervisors/hypervisor.ts";
import { greetGuest } from "../service/boot-guest.ts";
import { rehearseContainer } from "../service/rehearse.ts";
import { createSandboxDisks, type SandboxDisks } from "../service/sandbox-disks.ts";
import type { ShimOptions } from "../shim-options.ts";
import { closeTemplateDisk, firstDiskSerial, makeTemplateDisk } from "./template-disk.ts";
import { templateInputs, templateKey } from "./template-key.ts";
import type { Template, TemplateStore } from "./template-store.ts";

export interface TemplateRequest {
  readonly hypervisor: Hypervisor;
  /** The VM that is wanted. */
  readonly spec: VmSpec;
  readonly files: GuestFiles;
  /** For the sockets of the one that is saved; short, made and removed here. */
  readonly socketFolder: string;
  readonly options: Pick<ShimOptions, "bootTimeoutSeconds" | "guestTimeoutSeconds">;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

/** The template a VM can be cloned from, made when there is none. Rejects as a boot does. */
export function obtainTemplate(store: TemplateStore, request: TemplateRequest): Promise<Template> {
  const { hypervisor, spec, files } = request;
  const inputs = templateInputs(hypervisor, spec, files);
  const key = templateKey(inputs);
  return store.obtain(key, async (folder) => {
    await makeTemplate(key, folder, request);
    return { inputs: { ...inputs }, kernelRelease: files.kernelRelease };
  });
}

async function makeTemplate(
  key: string,
  folder: string,
  { hypervisor, spec, files, socketFolder, options, log, signal }: TemplateRequest,
): Promise<void> {
  const { place: wanted, cgroup: _, ...machine } = spec;
  // Nobody's: it is gone before any guest runs what a user brought.
  const place =
    wanted === undefined
      ? undefined
      : { ...wanted, ...vmmPlace(key, wanted.program, []), devices: wanted.devices };
  rmSync(socketFolder, { recursive: true, force: true });
  mkdirSync(socketFolder, { recursive: true, mode: 0o700 });
  makeSocketFolder(socketFolder, place);
  try {
    const vm = await hypervisor.start({
      ...machine,
      ...(place === undefined ? {} : { place }),
      id: key,
      savedTo: folder,
      agentSocket: join(socketFolder, "a"),
      controlSocket: join(socketFolder, "c"),
      consoleLog: join(socketFolder, "console.log"),
      pidFile: join(socketFolder, "vmm.pid"),
    });
    try {
      const { listener, listen } = createListenerSwitch();
      const { guest } = await greetGuest(vm, { log, listener, options, signal });
      const disk = hypervisor.hasDiskSlots ? await makeTemplateDisk(folder) : undefined;
      if (disk !== undefined) {
        await plugDisk(vm, guest, disk, "ext4");
        await rehearseContainer({
          ...{ vm, guest, image: files.rehearsal, folder: join(socketFolder, "rehearsal") },
          ...{ disks: keepingFirstDisk(createSandboxDisks(vm, guest)), listen, log },
        });
      }
      await untilIdle(vm.pid, signal);
      await vm.pause();
      if (disk !== undefined) {
        // The guest keeps it mounted and does not notice: it stands still.
        await vm.detachDisk(disk.serial);
        await closeTemplateDisk(disk);
      }
      await vm.snapshot(folder);
      guest.close("the template is saved");
    } finally {
      await vm.stop();
    }
  } finally {
    rmSync(socketFolder, { recursive: true, force: true });
  }
}

/** The container writes to the first disk, which stays mounted when it goes. */
function keepingFirstDisk(disks: SandboxDisks): SandboxDisks {
  return {
    ...disks,
    addWritableDisk: async (disk) => ({ ...disk, serial: firstDiskSerial }),
    async removeDisk(serial) {
      if (serial !== firstDiskSerial) await disks.removeDisk(serial);
    },
  };
}

// Grace periods and worker threads are through in a quarter of a second; a clone would go on with them.
const idleWindowMs = 200;
const mostBusyMs = 10;
const idleWindows = 25;

/** Until the VMM uses next to no processor time, or for some seconds. */
async function untilIdle(pid: number, signal: AbortSignal | undefined): Promise<void> {
  let usedMs = processorTimeMs(pid);
  for (let window = 0; window < idleWindows; window += 1) {
    await sleep(idleWindowMs, undefined, { signal });
    const nowMs = processorTimeMs(pid);
    if (nowMs - usedMs <= mostBusyMs) return;
    usedMs = nowMs;
  }
}
