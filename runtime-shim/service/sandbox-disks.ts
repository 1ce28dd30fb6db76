/** The disks of a sandbox's containers: plugged and mounted, each image once however many ask for it. */
import { createWritableDisk } from "../disks/writable-disk.ts";
import type { GuestClient } from "../guest-client/client.ts";
import type { Disk, RunningVm } from "../hypervisors/hypervisor.ts";

export interface SandboxDisks {
  /** Plugs and mounts a read-only disk once, however many containers ask for it. */
  addImageDisk(disk: Disk, fsType: "erofs"): Promise<void>;
  /**
   * Makes an empty disk at its path, plugs and mounts it; or answers one that was made before, which is to be
   * used in its place. Rejects with DISK.
   */
  addWritableDisk(disk: Disk): Promise<Disk>;
  removeDisk(serial: string): Promise<void>;
}

export interface PreparedDisks extends SandboxDisks {
  /** Plugs and mounts the spare disk before anybody asks for one. Rejects with DISK. */
  mountSpare(): Promise<void>;
}

/** `spareDisk`: an empty writable disk that nobody has used, for the first container. */
export function createSandboxDisks(
  vm: Pick<RunningVm, "attachDisk" | "detachDisk">,
  guest: Pick<GuestClient, "request">,
  spareDisk?: Promise<Disk>,
): PreparedDisks {
  let spare = spareDisk;
  const images = new Map<string, Promise<void>>();
  const slots = new Map<string, string>();
  const plug = async (disk: Disk, fsType: "erofs" | "ext4") => {
    const slot = await vm.attachDisk(disk);
    if (slot !== undefined) slots.set(disk.serial, slot);
    try {
      await guest.request("mountDisk", [
        [1, disk.serial],
        [2, fsType],
        [3, disk.readOnly],
        [6, slot],
      ]);
    } catch (error) {
      await vm.detachDisk(disk.serial).catch(() => {});
      throw error;
    }
  };
  let spareMounted: Promise<void> | undefined;
  const mountSpare = (disk: Disk) => {
    spareMounted ??= plug(disk, "ext4");
    return spareMounted;
  };
  return {
    addImageDisk(disk, fsType) {
      const known = images.get(disk.serial);
      if (known !== undefined) return known;
      const added = plug(disk, fsType);
      images.set(disk.serial, added);
      // A failed plug may be tried again.
      added.catch(() => images.delete(disk.serial));
      return added;
    },
    async mountSpare() {
      const disk = await spare;
      if (disk !== undefined) await mountSpare(disk);
    },
    async addWritableDisk(disk) {
      const made = spare;
      spare = undefined;
      // One that could not be made is no loss: another is.
      const ready = await made?.catch(() => undefined);
      if (ready !== undefined) {
        await mountSpare(ready);
        return ready;
      }
      await createWritableDisk(disk.path);
      await plug(disk, "ext4");
      return disk;
    },
    async removeDisk(serial) {
      images.delete(serial);
      try {
        await guest.request("unmountDisk", [
          [1, serial],
          [2, slots.get(serial)],
        ]);
      } finally {
        // Its file goes away whatever the guest says.
        await vm.detachDisk(serial);
        slots.delete(serial);
      }
    },
  };
}
