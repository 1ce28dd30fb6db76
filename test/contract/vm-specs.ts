/** VMs for tests of hypervisor drivers: each in a folder of its own, and what is left in it. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "../../common/log.ts";
import { makeSocketFolder, vmmPlace } from "../../runtime-shim/confinement/vmm-place.ts";
import type { GuestListener } from "../../runtime-shim/guest-client/client.ts";
import type { RunningVm, VmSpec } from "../../runtime-shim/hypervisors/hypervisor.ts";
import type { PodInterface } from "../../runtime-shim/network/interface.ts";
import { greetGuest, identifyGuest } from "../../runtime-shim/service/boot-guest.ts";
import { guestFolder } from "../support/guest-image.ts";

export function vmSpecsIn(folder: string) {
  let vms = 0;
  return (accelerator: VmSpec["accelerator"], changes: Partial<VmSpec> = {}): VmSpec => {
    const home = join(folder, `v${vms++}`);
    const sockets = join(home, "s");
    const place = vmmPlace(home, join(guestFolder(), "host", "vmm-place"), [
      ...(accelerator === "tcg" ? [] : [`/dev/${accelerator}`]),
      "/dev/net/tun",
    ]);
    mkdirSync(home);
    makeSocketFolder(sockets, place);
    return {
      ...{ id: home, vcpus: 2, memoryMib: 256, accelerator },
      kernel: join(guestFolder(), "vmlinux"),
      initrd: join(guestFolder(), "initramfs.cpio"),
      openReadOnly: join(guestFolder(), "host", "open-read-only.so"),
      noKernel: join(guestFolder(), "host", "no-kernel"),
      ...(place === undefined ? {} : { place }),
      agentSocket: join(sockets, "a"),
      controlSocket: join(sockets, "c"),
      consoleLog: join(home, "console.log"),
      pidFile: join(home, "vmm.pid"),
      ...changes,
    };
  };
}

/** A guest of its own, as a sandbox has it. */
export async function bootGuest(
  vm: RunningVm,
  { hostname, network }: { readonly hostname: string; readonly network?: PodInterface },
  listener: GuestListener = { exited() {}, oom() {} },
) {
  const { guest, kernelRelease } = await greetGuest(vm, { log: silentLogger, listener });
  const identity = {
    ...{ hostname, machineId: "0123456789abcdef0123456789abcdef", sysctls: {} },
    network: Promise.resolve(network),
    sharedMemoryBytes: undefined,
  };
  const bootId = await identifyGuest(vm, guest, identity, {});
  return { guest, kernelRelease, bootId };
}

/** What is left of a VM beside its console log. */
export function leftovers(spec: VmSpec): readonly string[] {
  const own = readdirSync(spec.id).filter(
    (name) => name !== "s" && !name.startsWith("console.log"),
  );
  return [...own, ...readdirSync(join(spec.id, "s"))];
}
