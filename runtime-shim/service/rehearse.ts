/**
 * A spare VM's rehearsal: it takes an identity, its NIC and disks, and runs a container, all of which go
 * again. In software the guest's code is translated at its first run, which is half of a pod's start.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../../common/log.ts";
import { createWritableDisk } from "../disks/writable-disk.ts";
import type { ShimOptions } from "../shim-options.ts";
import { bootMac, identifyGuest } from "./boot-guest.ts";
import type { PreparedVm } from "./prepare-vm.ts";

const serial = "rehearsal";

/** Rejects when the VM cannot be used. `folder` is made and removed. */
export async function rehearse(
  { vm, guest }: PreparedVm,
  folder: string,
  options: ShimOptions,
  log: Logger,
): Promise<void> {
  const startedAtMs = performance.now();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    const nowhere = { name: "eth0", mtu: 1500, addresses: [], routes: [] };
    const identity = {
      ...{ hostname: serial, machineId: "0".repeat(32), sysctls: {}, sharedMemoryBytes: undefined },
      network: Promise.resolve({ ...nowhere, mac: bootMac }),
    };
    await identifyGuest(vm, guest, identity, { options });
    const path = join(folder, "disk.ext4");
    await createWritableDisk(path);
    const slot = await vm.attachDisk({ serial, path, readOnly: false });
    await guest.request("mountDisk", [
      [1, serial],
      [2, "ext4"],
      [6, slot],
    ]);
    await guest.request("unmountDisk", [
      [1, serial],
      [2, slot],
    ]);
    await vm.detachDisk(serial);
    log.debug({ ms: Math.round(performance.now() - startedAtMs) }, "the spare VM has rehearsed");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
