/** A running QEMU's disks and shared folder, by QMP (docs/interop/qemu-qmp-ref). */
import { messageOf } from "../../common/errors.ts";
import { giveTo, lend, takeBack } from "../confinement/vmm-place.ts";
import { shimError } from "../errors.ts";
import {
  type DiskSlot,
  diskSettings,
  diskSlots,
  folderSlot,
  pluggedBus,
  pluggedSlots,
} from "./command-line/qemu.ts";
import type { QmpClient } from "./control/qemu.ts";
import type { Disk, SharedFolderDevice, VmSpec } from "./hypervisor.ts";
import { type PciSlots, slotAddress } from "./pci-slots.ts";
import type { DiskVerbs } from "./snapshot-rules.ts";

/** Where a disk is: in a slot that was there from the start, or plugged into a place of the bridge. */
type Seat = { readonly slot: DiskSlot } | { readonly plugged: number };

/** `unplug` resolves when the guest has let go of the device. */
export function createDiskVerbs(
  qmp: QmpClient,
  { place, withoutSlots }: VmSpec,
  vmmPid: number,
  slots: PciSlots,
  unplug: (device: string) => Promise<void>,
): DiskVerbs {
  const seats = new Map<string, Seat>();
  let folder = false;
  const names = (serial: string) => ({ node: `n-${serial}`, device: `d-${serial}` });

  const takeSeat = (disk: Disk): Seat => {
    const taken = new Set([...seats.values()].map((seat) => ("slot" in seat ? seat.slot.id : "")));
    const slot = (withoutSlots ? [] : diskSlots).find(
      ({ id, readOnly }) => readOnly === disk.readOnly && !taken.has(id),
    );
    if (slot !== undefined) return { slot };
    const plugged = slots.take();
    if (plugged !== undefined) return { plugged };
    throw shimError("DISK", `all ${pluggedSlots} slots of the sandbox's VM are in use`, {
      hint: "use fewer containers in one pod",
    });
  };
  const giveSeatBack = (serial: string) => {
    const seat = seats.get(serial);
    if (seat !== undefined && "plugged" in seat) slots.giveBack(seat.plugged);
    seats.delete(serial);
  };
  const putBehind = (slot: DiskSlot, node: string) =>
    qmp.execute("qom-set", {
      path: `/machine/peripheral/${slot.id}`,
      ...{ property: "drive", value: node },
    });
  const seatDisk = async (serial: string, seat: Seat) => {
    const { node, device } = names(serial);
    if ("slot" in seat) {
      await putBehind(seat.slot, node);
    } else {
      await qmp.execute("device_add", {
        ...{ driver: "virtio-blk-pci", id: device, drive: node, serial },
        ...{ bus: pluggedBus, addr: slotAddress(seat.plugged) },
        ...diskSettings,
      });
    }
  };

  return {
    hasDisks: () => seats.size > 0,
    hasFolder: () => folder,
    async attachFolder({ tag, socket }: SharedFolderDevice) {
      giveTo(place, socket);
      const path = await lend(place, vmmPid, socket, tag);
      await qmp.execute("chardev-add", {
        id: tag,
        backend: {
          type: "socket",
          data: { addr: { type: "unix", data: { path } }, server: false },
        },
      });
      try {
        await qmp.execute("device_add", {
          ...{ driver: "vhost-user-fs-pci", id: `d-${tag}`, chardev: tag, tag },
          ...{ bus: pluggedBus, addr: slotAddress(folderSlot), "queue-size": 1024 },
        });
      } catch (error) {
        await qmp.execute("chardev-remove", { id: tag }).catch(() => {});
        throw error;
      }
      folder = true;
    },
    async attachDisk(disk: Disk) {
      const { serial, path, readOnly } = disk;
      const known = seats.get(serial);
      const seat = known ?? takeSeat(disk);
      const address = "slot" in seat ? `0000:00:${hex(seat.slot.place)}.0` : undefined;
      if (known !== undefined) return address;
      seats.set(serial, seat);
      const { node } = names(serial);
      try {
        if (!readOnly) giveTo(place, path);
        const filename = await lend(place, vmmPid, path, serial);
        await qmp.execute("blockdev-add", {
          "node-name": node,
          driver: "raw",
          "read-only": readOnly,
          // What the guest frees must not keep space on the host.
          ...(readOnly ? {} : { discard: "unmap" }),
          file: { driver: "file", filename, "read-only": readOnly },
        });
        try {
          await seatDisk(serial, seat);
        } catch (error) {
          await qmp.execute("blockdev-del", { "node-name": node }).catch(() => {});
          throw error;
        }
      } catch (cause) {
        giveSeatBack(serial);
        await takeBack(place, vmmPid, serial);
        throw shimError("DISK", `cannot plug ${path}: ${messageOf(cause)}`, { cause });
      }
      return address;
    },
    async detachDisk(serial) {
      const seat = seats.get(serial);
      if (seat === undefined) return;
      const { node, device } = names(serial);
      if ("slot" in seat) await putBehind(seat.slot, seat.slot.empty);
      else await unplug(device);
      await qmp.execute("blockdev-del", { "node-name": node });
      await takeBack(place, vmmPid, serial);
      giveSeatBack(serial);
    },
  };
}

function hex(place: number): string {
  return place.toString(16).padStart(2, "0");
}
