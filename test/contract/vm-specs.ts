/** VMs for tests of hypervisor drivers: each in a folder of its own, and what is left in it. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { makeSocketFolder, vmmPlace } from "../../runtime-shim/confinement/vmm-place.ts";
import type { VmSpec } from "../../runtime-shim/hypervisors/hypervisor.ts";
import { guestFolder } from "../support/guest-image.ts";

export function vmSpecsIn(folder: string) {
  let vms = 0;
  return (accelerator: VmSpec["accelerator"], changes: Partial<VmSpec> = {}): VmSpec => {
    const home = join(folder, `v${vms++}`);
    const sockets = join(home, "s");
    const place = vmmPlace(home, [
      ...(accelerator === "tcg" ? [] : [`/dev/${accelerator}`]),
      "/dev/net/tun",
    ]);
    mkdirSync(home);
    makeSocketFolder(sockets, place);
    return {
      ...{ id: home, vcpus: 2, memoryMib: 256, accelerator },
      kernel: join(guestFolder(), "vmlinux"),
      initrd: join(guestFolder(), "initramfs.cpio"),
      ...(place === undefined ? {} : { place }),
      agentSocket: join(sockets, "a"),
      controlSocket: join(sockets, "c"),
      consoleLog: join(home, "console.log"),
      pidFile: join(home, "vmm.pid"),
      ...changes,
    };
  };
}

/** What is left of a VM beside its console log. */
export function leftovers(spec: VmSpec): readonly string[] {
  const own = readdirSync(spec.id).filter(
    (name) => name !== "s" && !name.startsWith("console.log"),
  );
  return [...own, ...readdirSync(join(spec.id, "s"))];
}
