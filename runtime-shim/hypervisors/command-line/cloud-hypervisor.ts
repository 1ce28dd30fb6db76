/**
 * VmSpec → command line of cloud-hypervisor, and the VmConfig it is given over its API
 * (cloud-hypervisor/cloud-hypervisor vmm/src/api/openapi/cloud-hypervisor.yaml). Pure.
 */
import { shimError } from "../../errors.ts";
import type { Nic, VmSpec } from "../hypervisor.ts";
import { noUserNetwork, userNetworkRemedy } from "../ladder.ts";
import { kernelParameters } from "./kernel-parameters.ts";
import { pathsInPlace, wrappers } from "./wrappers.ts";

export const cloudHypervisorProgram = "cloud-hypervisor";

// Each VM has its own socket, so every guest may have the first free address.
const guestCid = 3;
export const mebibyte = 1 << 20;

/** Program and arguments, with the wrappers that put it into its place. */
export function cloudHypervisorCommandLine(spec: VmSpec): readonly string[] {
  return [
    ...wrappers(spec),
    cloudHypervisorProgram,
    ...["--api-socket", `path=${pathsInPlace(spec).controlSocket}`],
    ...["--seccomp", "true"],
  ];
}

/** The machine without disks: those are plugged when containers come. */
export function cloudHypervisorConfig(spec: VmSpec): object {
  const { kernel, initrd, agentSocket } = pathsInPlace(spec);
  const most = spec.most ?? spec;
  const room = (most.memoryMib - spec.memoryMib) * mebibyte;
  return {
    payload: { kernel, initramfs: initrd, cmdline: kernelParameters },
    cpus: {
      ...{ boot_vcpus: spec.vcpus, max_vcpus: most.vcpus },
      // As Kata has it: no virtualization inside the guest there.
      ...(spec.accelerator === "mshv" ? { nested: false } : {}),
    },
    memory: {
      ...{ size: spec.memoryMib * mebibyte, shared: spec.sharedMemory === true },
      ...(room === 0 ? {} : { hotplug_method: "Acpi", hotplug_size: room }),
    },
    rng: { src: "/dev/urandom" },
    // Its standard output is a pipe to the shim, which bounds the log's size.
    serial: { mode: "Tty" },
    console: { mode: "Off" },
    vsock: { cid: guestCid, socket: agentSocket },
    ...(spec.nic === undefined ? {} : { net: [tapOf(spec.nic)] }),
  };
}

/** Throws NETWORK for what it cannot do. */
export function tapOf(nic: Nic): { readonly tap: string; readonly mac: string } {
  if (nic.kind === "tap") return { tap: nic.tap, mac: nic.mac };
  throw shimError("NETWORK", `${noUserNetwork} of its own for a VM`, { hint: userNetworkRemedy });
}
