/** A disk on its way into a guest: plugged into its VM, then mounted by its agent. */
import type { GuestClient } from "../guest-client/client.ts";
import type { Disk, RunningVm } from "../hypervisors/hypervisor.ts";

export type DiskPlugs = Pick<RunningVm, "attachDisk" | "detachDisk">;

/** `volume`: where the disk's content shows in the guest's shared folder. A disk that is not mounted is taken out. */
export async function plugDisk(
  vm: DiskPlugs,
  guest: Pick<GuestClient, "request">,
  disk: Disk,
  fsType: "erofs" | "ext4",
  volume?: string,
): Promise<void> {
  const slot = await vm.attachDisk(disk);
  try {
    await guest.request("mountDisk", [
      [1, disk.serial],
      [2, fsType],
      [3, disk.readOnly],
      [4, volume],
      [6, slot],
    ]);
  } catch (error) {
    await vm.detachDisk(disk.serial).catch(() => {});
    throw error;
  }
}
