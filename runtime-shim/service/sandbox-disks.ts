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

/** An empty writable disk that nobody has used. */
export interface SpareDisk {
  readonly disk: Disk;
  readonly made: Promise<void>;
  /** In the guest already, in this slot of the VM if in one. */
  readonly isMounted: boolean;
  readonly slot?: string | undefined;
}

function isMade({ made }: SpareDisk): Promise<boolean> {
  return made.then(
    () => true,
    () => false,
  );
}

export function createSandboxDisks(
  vm: Pick<RunningVm, "attachDisk" | "detachDisk">,
  guest: Pick<GuestClient, "request">,
  spareDisk?: SpareDisk,
): SandboxDisks {
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
    async addWritableDisk(disk) {
      const ready = spare;
      spare = undefined;
      if (ready !== undefined && (await isMade(ready))) {
        if (!ready.isMounted) await plug(ready.disk, "ext4");
        else if (ready.slot !== undefined) slots.set(ready.disk.serial, ready.slot);
        return ready.disk;
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
