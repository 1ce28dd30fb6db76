/** The disks of a sandbox's containers: plugged and mounted, each image once however many ask for it. */
import { type DiskPlugs, plugDisk } from "../disks/plug-disk.ts";
import { createWritableDisk } from "../disks/writable-disk.ts";
import type { GuestClient } from "../guest-client/client.ts";
import type { Disk } from "../hypervisors/hypervisor.ts";

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

/** `first`: an empty writable disk that is mounted, and that nobody has used. */
export function createSandboxDisks(
  vm: DiskPlugs,
  guest: Pick<GuestClient, "request">,
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
