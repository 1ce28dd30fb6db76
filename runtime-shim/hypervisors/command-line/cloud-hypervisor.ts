/**
 * VmSpec → command line of cloud-hypervisor, and the VmConfig it is given over its API
 * (cloud-hypervisor/cloud-hypervisor vmm/src/api/openapi/cloud-hypervisor.yaml). Pure.
 */
import type { VmSpec } from "../hypervisor.ts";
import { kernelParameters } from "./kernel-parameters.ts";
import { wrappers } from "./wrappers.ts";

export const cloudHypervisorProgram = "cloud-hypervisor";

// Each VM has its own socket, so every guest may have the first free address.
const guestCid = 3;
const mebibyte = 1 << 20;

/** Program and arguments, with the wrappers that put it into its place. */
export function cloudHypervisorCommandLine(spec: VmSpec): readonly string[] {
  return [
    ...wrappers(spec),
    cloudHypervisorProgram,
    ...["--api-socket", `path=${spec.controlSocket}`],
    ...["--seccomp", "true"],
  ];
}

/** The machine without disks: those are plugged when containers come. */
export function cloudHypervisorConfig(spec: VmSpec): object {
  return {
    payload: { kernel: spec.kernel, initramfs: spec.initrd, cmdline: kernelParameters },
    cpus: { boot_vcpus: spec.vcpus, max_vcpus: spec.vcpus },
    memory: { size: spec.memoryMib * mebibyte },
    rng: { src: "/dev/urandom" },
    // Its standard output is a pipe to the shim, which bounds the log's size.
    serial: { mode: "Tty" },
    console: { mode: "Off" },
    vsock: { cid: guestCid, socket: spec.agentSocket },
    ...(spec.nic === undefined ? {} : { net: [{ tap: spec.nic.tap, mac: spec.nic.mac }] }),
  };
}
