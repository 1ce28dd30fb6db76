/** The Cloud Hypervisor driver: a VM made, booted and changed over its REST socket. */
import { rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { giveTo, lend, takeBack } from "../confinement/vmm-place.ts";
import { hasCode, shimError } from "../errors.ts";
import { agentVsockPort } from "../guest-client/protocol.ts";
import { createMachineVerbs } from "./cloud-hypervisor-machine.ts";
import { keepSnapshot, withSnapshotFor } from "./cloud-hypervisor-snapshot.ts";
import {
  cloudHypervisorCommandLine,
  cloudHypervisorConfig,
  cloudHypervisorProgram,
} from "./command-line/cloud-hypervisor.ts";
import {
  type CloudHypervisorClient,
  createCloudHypervisorClient,
} from "./control/cloud-hypervisor.ts";
import { connectHybridVsock } from "./control/hybrid-vsock.ts";
import type { Disk, Hypervisor, RunningVm, SharedFolderDevice, VmSpec } from "./hypervisor.ts";
import { assertSavable, commonSpec, type DiskVerbs } from "./snapshot-rules.ts";
import { assertInstalled, startVmm, type VmmProcess } from "./vmm-process.ts";

// Its socket is there after some 10 ms; it then makes the VM's memory and vCPUs.
const startTimeoutMs = 20_000;
const pollMs = 20;
// What the folder of a snapshot is called in the VMM's place.
const snapshotName = "snapshot";
// Hot-unplug waits for the guest's kernel.
const unplugTimeoutMs = 5_000;

const installation = {
  name: cloudHypervisorProgram,
  hint: "put a release of Cloud Hypervisor on PATH, then run katasim doctor",
};

const PingSchema = z.object({ version: z.string() });
const InfoSchema = z.object({ device_tree: z.record(z.string(), z.unknown()).optional() });

export function createCloudHypervisor(options: { readonly log: Logger }): Hypervisor {
  return {
    name: "cloud-hypervisor",
    describe: (spec) => ({
      program: assertInstalled(installation),
      machine: [JSON.stringify(cloudHypervisorConfig(commonSpec(spec)))],
    }),
    start: (spec) =>
      startCloudHypervisor(spec, options.log, async (api) => {
        await api.put("vm.create", cloudHypervisorConfig(spec));
        await api.put("vm.boot");
      }),
    hasDiskSlots: false,
    restore: (spec, folder) =>
      startCloudHypervisor(spec, options.log, (api, vmmPid) => {
        const lendFolder = () => lend(spec.place, vmmPid, folder, snapshotName);
        return withSnapshotFor(spec, folder, lendFolder, async (source) => {
          await api.put("vm.restore", { source_url: `file://${source}` });
          await api.put("vm.resume");
        });
      }),
  };
}

async function startCloudHypervisor(
  spec: VmSpec,
  log: Logger,
  bringUp: (api: CloudHypervisorClient, vmmPid: number) => Promise<void>,
): Promise<RunningVm> {
  const program = {
    ...installation,
    argv: cloudHypervisorCommandLine(spec),
  };
  assertInstalled(program);
  // It makes both itself, and refuses paths that are there.
  const removeSockets = () => {
    for (const path of [spec.controlSocket, spec.agentSocket]) rmSync(path, { force: true });
  };
  removeSockets();
  const vmm = await startVmm(program, spec, { log, onEnd: removeSockets });
  const api = createCloudHypervisorClient(spec.controlSocket);
  try {
    const version = await vmm.whileAlive(
      (async () => {
        const ping = await firstAnswer(api);
        spec.onRunning?.(vmm.pid);
        await bringUp(api, vmm.pid);
        return ping;
      })(),
      startTimeoutMs,
    );
    vmm.isRunning();
    const unplug = (device: string) => unplugDevice(api, device);
    const diskVerbs = createDiskVerbs(api, spec.place, vmm.pid, unplug);
    const machineVerbs = createMachineVerbs(api, spec, unplug);
    const { attachDisk, detachDisk, attachFolder } = diskVerbs;
    const { attachNic, detachNic, resize } = machineVerbs;
    return {
      ...vmm,
      version,
      agent: vmm.whileAlive(connectAgent(spec.agentSocket, vmm)),
      ...{ attachDisk, detachDisk, attachFolder, attachNic, detachNic, resize },
      shutdown: () =>
        vmm.endBy(async () => {
          await api.put("vm.shutdown");
          await api.put("vmm.shutdown");
        }),
      async pause() {
        await api.put("vm.pause");
      },
      async resume() {
        await api.put("vm.resume");
      },
      async snapshot(folder) {
        assertSavable(diskVerbs, machineVerbs);
        giveTo(spec.place, folder);
        const lent = await lend(spec.place, vmm.pid, folder, snapshotName);
        try {
          await api.put("vm.snapshot", { destination_url: `file://${lent}` });
        } finally {
          await takeBack(spec.place, vmm.pid, snapshotName);
          keepSnapshot(folder);
        }
      },
    };
  } catch (cause) {
    await vmm.stop();
    throw shimError("VMM_START_FAILED", messageOf(cause), { cause });
  }
}

/** Its version, once its socket is there. */
async function firstAnswer(api: CloudHypervisorClient): Promise<string> {
  const deadlineMs = performance.now() + startTimeoutMs;
  for (;;) {
    try {
      return PingSchema.parse(await api.get("vmm.ping")).version;
    } catch (error) {
      if (!hasCode(error, "VMM_GONE") || performance.now() > deadlineMs) throw error;
      await sleep(pollMs);
    }
  }
}

/** Asked until the guest listens: whoever waits for the agent has a deadline of its own. */
async function connectAgent(path: string, vmm: VmmProcess): Promise<Socket> {
  let alive = true;
  void vmm.exited.then(() => {
    alive = false;
  });
  for (;;) {
    try {
      return await connectHybridVsock(connect(path), agentVsockPort);
    } catch (error) {
      if (!alive) throw error;
      await sleep(pollMs);
    }
  }
}

async function unplugDevice(api: CloudHypervisorClient, id: string): Promise<void> {
  await api.put("vm.remove-device", { id });
  // Answered before the guest has let go of it.
  const deadlineMs = performance.now() + unplugTimeoutMs;
  for (;;) {
    const { device_tree } = InfoSchema.parse(await api.get("vm.info"));
    if (device_tree === undefined || !(id in device_tree)) return;
    if (performance.now() > deadlineMs) {
      throw shimError("VMM_CONTROL", `the guest does not let go of the device ${id}`);
    }
    await sleep(pollMs);
  }
}

function createDiskVerbs(
  api: CloudHypervisorClient,
  place: VmSpec["place"],
  vmmPid: number,
  unplug: (device: string) => Promise<void>,
): DiskVerbs {
  const plugged = new Set<string>();
  let folder = false;
  const deviceId = (serial: string) => `d-${serial}`;
  return {
    hasDisks: () => plugged.size > 0,
    hasFolder: () => folder,
    async attachFolder({ tag, socket }: SharedFolderDevice) {
      giveTo(place, socket);
      await api.put("vm.add-fs", {
        ...{ id: deviceId(tag), tag, num_queues: 1, queue_size: 1024 },
        socket: await lend(place, vmmPid, socket, tag),
      });
      folder = true;
    },
    async attachDisk({ serial, path, readOnly }: Disk) {
      if (plugged.has(serial)) return undefined;
      try {
        if (!readOnly) giveTo(place, path);
        const lent = await lend(place, vmmPid, path, serial);
        await api.put("vm.add-disk", {
          ...{ id: deviceId(serial), serial, path: lent, readonly: readOnly },
          // Never guessed from content that the guest writes.
          image_type: "Raw",
        });
      } catch (cause) {
        await takeBack(place, vmmPid, serial);
        throw shimError("DISK", `cannot plug ${path}: ${messageOf(cause)}`, { cause });
      }
      plugged.add(serial);
      return undefined;
    },
    async detachDisk(serial) {
      if (!plugged.has(serial)) return;
      await unplug(deviceId(serial));
      await takeBack(place, vmmPid, serial);
      plugged.delete(serial);
    },
  };
}
