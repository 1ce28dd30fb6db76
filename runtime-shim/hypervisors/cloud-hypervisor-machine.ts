/** A running Cloud Hypervisor's processors, memory and NICs, by vm.resize and vm.add-net. */
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";
import { mebibyte, tapOf } from "./command-line/cloud-hypervisor.ts";
import type { CloudHypervisorClient } from "./control/cloud-hypervisor.ts";
import type { TapNic, VmShape, VmSpec } from "./hypervisor.ts";
import { assertResizable } from "./resize-rules.ts";
import type { MachineVerbs } from "./snapshot-rules.ts";

/** `unplug` resolves when the guest has let go of the device. */
export function createMachineVerbs(
  api: CloudHypervisorClient,
  spec: VmSpec,
  unplug: (device: string) => Promise<void>,
): MachineVerbs {
  let now: VmShape = spec;
  const nics = new Set<string>();
  const deviceId = (mac: string) => `nic-${mac.replaceAll(":", "")}`;
  return {
    isChanged: () => nics.size > 0 || now.vcpus !== spec.vcpus || now.memoryMib !== spec.memoryMib,
    async resize({ vcpus, memoryMib }) {
      assertResizable(now, { vcpus, memoryMib }, spec);
      await api.put("vm.resize", { desired_vcpus: vcpus, desired_ram: memoryMib * mebibyte });
      now = { vcpus, memoryMib };
    },
    async attachNic(nic: TapNic) {
      if (nics.has(nic.mac)) return;
      try {
        await api.put("vm.add-net", { id: deviceId(nic.mac), ...tapOf(nic) });
      } catch (cause) {
        throw shimError("VMM_CONTROL", `cannot plug ${nic.tap}: ${messageOf(cause)}`, { cause });
      }
      nics.add(nic.mac);
    },
    async detachNic(mac) {
      if (!nics.has(mac)) return;
      await unplug(deviceId(mac));
      nics.delete(mac);
    },
  };
}
