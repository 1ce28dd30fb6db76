/**
 * VmSpec → command line of qemu-system-x86_64. Pure. Every device has a fixed place, so that a saved
 * VM can later be restored into the same list.
 */
import { agentPortName } from "../../guest-client/protocol.ts";
import type { Nic, VmSpec } from "../hypervisor.ts";
import { kernelParameters } from "./kernel-parameters.ts";
import { pathsInPlace, wrappers } from "./wrappers.ts";

export const qemuProgram = "qemu-system-x86_64";

/** Devices are hot-plugged behind one PCI bridge: 31 slots for the boot cost of one device. */
export const pluggedBus = "plugged";
export const pluggedSlots = 30;
/** The last one is the shared folder's. */
export const folderSlot = 31;

// Each growth of the memory takes one; QEMU has 256 at most.
const memorySlots = 16;

/** Program and arguments, with the wrappers that put QEMU into its place. */
export function qemuCommandLine(spec: VmSpec): readonly string[] {
  return [...wrappers(spec), qemuProgram, ...qemuArguments(spec)];
}

/** The same machine, waiting for the state of a saved one instead of booting. */
export function qemuRestoreCommandLine(spec: VmSpec): readonly string[] {
  return [...qemuCommandLine(spec), "-incoming", "defer"];
}

export function qemuArguments(spec: VmSpec): readonly string[] {
  const { kernel, initrd, agentSocket, controlSocket } = pathsInPlace(spec);
  return [
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    ...["-display", "none"],
    ...["-name", `katasim-${spec.id.slice(0, 12)}`],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...[
      "-machine",
      `q35,vmport=off,smbus=off,sata=off,usb=off${spec.sharedMemory ? ",memory-backend=ram" : ""}`,
    ],
    // The cache of translated code would grow to a gigabyte; more than this was measured to gain nothing.
    ...["-accel", spec.accelerator === "tcg" ? "tcg,tb-size=128" : spec.accelerator],
    // "max" in software: images built for x86-64-v2 and v3 must run.
    ...["-cpu", spec.accelerator === "tcg" ? "max" : "host"],
    ...["-m", memory(spec)],
    ...(spec.sharedMemory
      ? ["-object", `memory-backend-memfd,id=ram,size=${spec.memoryMib}M,share=on`]
      : []),
    ...["-smp", processors(spec)],
    ...["-kernel", optionValue(kernel)],
    ...["-initrd", optionValue(initrd)],
    ...["-append", kernelParameters],
    // Standard output is a pipe to the shim, which bounds the log's size.
    ...["-chardev", "stdio,id=console,signal=off"],
    ...["-device", "isa-serial,chardev=console"],
    ...["-chardev", `socket,id=agent,path=${optionValue(agentSocket)}`],
    ...["-device", "virtio-serial-pci,id=serial,bus=pcie.0,addr=0x2,max_ports=2"],
    ...["-device", `virtserialport,bus=serial.0,nr=1,chardev=agent,name=${agentPortName}`],
    ...networkArguments(spec),
    ...["-object", "rng-random,id=rng,filename=/dev/urandom"],
    ...["-device", "virtio-rng-pci,rng=rng,bus=pcie.0,addr=0x4"],
    ...["-device", `pcie-pci-bridge,id=${pluggedBus},bus=pcie.0,addr=0x5`],
    // QEMU calls us: no waiting until its socket has appeared.
    ...["-chardev", `socket,id=control,path=${optionValue(controlSocket)}`],
    ...["-mon", "chardev=control,mode=control"],
  ];
}

/** Room to grow costs the guest's kernel tables for it, so there is none where none was asked for. */
function memory({ memoryMib, most = { vcpus: 0, memoryMib } }: VmSpec): string {
  const room = most.memoryMib > memoryMib ? `,slots=${memorySlots},maxmem=${most.memoryMib}M` : "";
  return `${memoryMib}M${room}`;
}

function processors({ vcpus, most }: VmSpec): string {
  return most === undefined ? String(vcpus) : `${vcpus},maxcpus=${most.vcpus}`;
}

function networkArguments({ nic }: VmSpec): readonly string[] {
  if (nic === undefined) return [];
  return [
    ...["-netdev", backend(nic)],
    // No option ROM: the guest never boots from the network.
    ...["-device", `virtio-net-pci,netdev=net,mac=${nic.mac},bus=pcie.0,addr=0x3,romfile=`],
  ];
}

function backend(nic: Nic): string {
  if (nic.kind === "tap") return `tap,id=net,ifname=${nic.tap},script=no,downscript=no`;
  const { subnet, gateway, nameserver, egress } = nic;
  return [
    `user,id=net,ipv6=off,net=${subnet},host=${gateway},dns=${nameserver}`,
    // Open, it leads to all that QEMU's user reaches, and by the gateway to this machine's loopback.
    `restrict=${egress === "none" ? "on" : "off"}`,
  ].join(",");
}

/** QEMU splits option values at commas; a doubled comma stands for one. */
export function optionValue(value: string): string {
  return value.replaceAll(",", ",,");
}
