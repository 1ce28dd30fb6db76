/** The disks of a sandbox's containers: plugged and mounted, each image once however many ask for it. */
import { createWritableDisk } from "../disks/writable-disk.ts";
import type { GuestClient } from "../guest-client/client.ts";
import type { Disk, RunningVm } from "../hypervisors/hypervisor.ts";

export interface SandboxDisks {
  /** Plugs and mounts a read-only disk once, however many containers ask for it. */
  addImageDisk(disk: Disk, fsType: "erofs"): Promise<void>;
  /**
   * Makes an empty disk at its path, plugs and mounts it; or answers the first one, which is to be used in its
   * place. Rejects with DISK.
   */
  addWritableDisk(disk: Disk): Promise<Disk>;
  removeDisk(serial: string): Promise<void>;
}

type DiskVerbs = Pick<RunningVm, "attachDisk" | "detachDisk">;
type Requests = Pick<GuestClient, "request">;

export async function plugDisk(
  vm: DiskVerbs,
  guest: Requests,
  disk: Disk,
  fsType: "erofs" | "ext4",
): Promise<void> {
  const slot = await vm.attachDisk(disk);
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
}

/** `first`: an empty writable disk that is mounted, and that nobody has used. */
export function createSandboxDisks(
  vm: DiskVerbs,
  guest: Requests,
  first?: Promise<Disk>,
): SandboxDisks {
  let unused = first;
  const images = new Map<string, Promise<void>>();
  return {
    addImageDisk(disk, fsType) {
      const known = images.get(disk.serial);
      if (known !== undefined) return known;
      const added = plugDisk(vm, guest, disk, fsType);
      images.set(disk.serial, added);
      // A failed plug may be tried again.
      added.catch(() => images.delete(disk.serial));
      return added;
    },
    async addWritableDisk(disk) {
      const taken = unused;
      unused = undefined;
      const ready = await taken;
      if (ready !== undefined) return ready;
      await createWritableDisk(disk.path);
      await plugDisk(vm, guest, disk, "ext4");
      return disk;
    },
    async removeDisk(serial) {
      images.delete(serial);
      try {
        await guest.request("unmountDisk", [[1, serial]]);
      } finally {
        // Its file goes away whatever the guest says.
        await vm.detachDisk(serial);
      }
    },
  };
}
