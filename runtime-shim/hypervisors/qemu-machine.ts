/** A running QEMU's processors, memory and NICs, plugged by QMP (docs/system/cpu-hotplug.rst, docs/memory-hotplug.txt). */
import { z } from "zod";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";
import { pluggedBus } from "./command-line/qemu.ts";
import type { QmpClient } from "./control/qemu.ts";
import type { TapNic, VmShape, VmSpec } from "./hypervisor.ts";
import { type PciSlots, slotAddress } from "./pci-slots.ts";
import { assertProcessorsStay, assertResizable } from "./resize-rules.ts";
import type { MachineVerbs } from "./snapshot-rules.ts";

const mebibyte = 1 << 20;

const ProcessorsSchema = z.array(
  z.object({
    type: z.string(),
    props: z.record(z.string(), z.number()),
    "qom-path": z.string().optional(),
  }),
);

/** `unplug` resolves when the guest has let go of the device. */
export function createMachineVerbs(
  qmp: QmpClient,
  spec: VmSpec,
  slots: PciSlots,
  unplug: (device: string) => Promise<void>,
): MachineVerbs {
  const now: { -readonly [Key in keyof VmShape]: VmShape[Key] } = {
    vcpus: spec.vcpus,
    memoryMib: spec.memoryMib,
  };
  const nics = new Map<string, number>();
  let modules = 0;

  const plugProcessors = async (count: number) => {
    const all = ProcessorsSchema.parse(await qmp.execute("query-hotpluggable-cpus"));
    const free = all.filter((processor) => processor["qom-path"] === undefined);
    // QEMU lists the last one first.
    for (const { type, props } of free.reverse().slice(0, count)) {
      await qmp.execute("device_add", { driver: type, id: `cpu-${now.vcpus}`, ...props });
      now.vcpus += 1;
    }
  };
  const plugMemory = async (mib: number) => {
    const id = `ram-${++modules}`;
    const backend = spec.sharedMemory
      ? { "qom-type": "memory-backend-memfd", share: true }
      : { "qom-type": "memory-backend-ram" };
    await qmp.execute("object-add", { ...backend, id, size: mib * mebibyte });
    try {
      await qmp.execute("device_add", { driver: "pc-dimm", id: `dimm-${modules}`, memdev: id });
    } catch (error) {
      await qmp.execute("object-del", { id }).catch(() => {});
      throw error;
    }
    now.memoryMib += mib;
  };

  return {
    isChanged: () => nics.size > 0 || now.vcpus !== spec.vcpus || now.memoryMib !== spec.memoryMib,
    async resize(wanted) {
      assertResizable(now, wanted, spec);
      // Asked to, the guest lets go of one; QEMU 7.2 then never tells of it in software, and aborts at the
      // next that is plugged.
      assertProcessorsStay(now, wanted, "QEMU");
      if (wanted.memoryMib > now.memoryMib) await plugMemory(wanted.memoryMib - now.memoryMib);
      if (wanted.vcpus > now.vcpus) await plugProcessors(wanted.vcpus - now.vcpus);
    },
    async attachNic({ mac, tap }: TapNic) {
      if (nics.has(mac)) return;
      const slot = slots.take();
      if (slot === undefined) throw shimError("VMM_CONTROL", "all slots of the VM are in use");
      const { netdev, device } = namesOf(mac);
      try {
        const backend = { type: "tap", id: netdev, ifname: tap, script: "no", downscript: "no" };
        await qmp.execute("netdev_add", backend);
        try {
          await qmp.execute("device_add", {
            ...{ driver: "virtio-net-pci", id: device, netdev, mac, romfile: "" },
            ...{ bus: pluggedBus, addr: slotAddress(slot) },
          });
        } catch (error) {
          await qmp.execute("netdev_del", { id: netdev }).catch(() => {});
          throw error;
        }
      } catch (cause) {
        slots.giveBack(slot);
        throw shimError("VMM_CONTROL", `cannot plug ${tap}: ${messageOf(cause)}`, { cause });
      }
      nics.set(mac, slot);
    },
    async detachNic(mac) {
      const slot = nics.get(mac);
      if (slot === undefined) return;
      const { netdev, device } = namesOf(mac);
      await unplug(device);
      await qmp.execute("netdev_del", { id: netdev });
      slots.giveBack(slot);
      nics.delete(mac);
    },
  };
}

function namesOf(mac: string): { readonly netdev: string; readonly device: string } {
  const digits = mac.replaceAll(":", "");
  return { netdev: `net-${digits}`, device: `nic-${digits}` };
}
