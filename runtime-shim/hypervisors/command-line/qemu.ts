/**
 * VmSpec → command line of qemu-system-x86_64. Pure. Every device has a fixed place, so that a saved
 * VM can later be restored into the same list.
 */
import { fileInPlace } from "../../confinement/vmm-place.ts";
import { shimError } from "../../errors.ts";
import { agentPortName } from "../../guest-client/protocol.ts";
import type { Nic, VmSpec } from "../hypervisor.ts";
import { slotAddress } from "../pci-slots.ts";
import { kernelParameters } from "./kernel-parameters.ts";
import { pathsInPlace, wrappers } from "./wrappers.ts";

export const qemuProgram = "qemu-system-x86_64";

/** Devices are hot-plugged behind one PCI bridge: 31 slots for the boot cost of one device. */
export const pluggedBus = "plugged";
export const pluggedSlots = 30;
/** The last one is the shared folder's. */
export const folderSlot = 31;

const maxCodeMib = 128;

const firstSlotPlace = 0x6;
// A guest's driver takes a disk's size from what it finds at boot, and never asks again: more than any file
// behind it has. A file system goes by its own size; beyond the file's end there are I/O errors.
const emptyBytes = 2 ** 44;

// Each growth of the memory takes one; QEMU has 256 at most.
const memorySlots = 16;

/** A file that is the guest's memory: written through, or copied page by page where the guest writes. */
export interface MemoryFile {
  readonly path: string;
  readonly use: "written" | "copied";
}

export interface DiskSlot {
  /** Of the device. */
  readonly id: string;
  /** Of the node behind it that holds nothing. */
  readonly empty: string;
  readonly readOnly: boolean;
  /** On the root bus. */
  readonly place: number;
}

/**
 * Disks that are there from the start with nothing behind them: to put a file there takes a fraction of
 * what a hot-plug does, most of which is the guest's own work. The first two containers need no other.
 */
export const diskSlots: readonly DiskSlot[] = [true, true, false, false].map((readOnly, index) => ({
  ...{ id: `slot-${index}`, empty: `empty-${index}`, readOnly },
  place: firstSlotPlace + index,
}));

/** The settings of every disk but where it is. */
export const diskSettings = {
  "disable-legacy": "on",
  "num-queues": 1,
  // QEMU's own answer to a full disk of the host is to stop the VM; the guest's programs are to be told,
  // as they would be anywhere else.
  werror: "report",
  rerror: "report",
} as const;

const memoryName = "memory";
const openReadOnlyName = "open-read-only.so";

/** Program and arguments, with the wrappers that put QEMU into its place. */
export function qemuCommandLine(spec: VmSpec, memory?: MemoryFile): readonly string[] {
  const files =
    memory === undefined
      ? {}
      : { [memoryName]: memory.path, [openReadOnlyName]: spec.openReadOnly };
  return [...wrappers(spec, files), qemuProgram, ...qemuArguments(spec, memory)];
}

/** What QEMU needs in its environment, so that it cannot write to memory that is copied. */
export function qemuEnvironment(
  { place, openReadOnly }: VmSpec,
  memory: MemoryFile | undefined,
): Readonly<Record<string, string>> {
  if (memory?.use !== "copied") return {};
  return {
    LD_PRELOAD: fileInPlace(place, openReadOnly, openReadOnlyName),
    KATASIM_READ_ONLY: fileInPlace(place, memory.path, memoryName),
  };
}

/** The same machine, waiting for the state of a saved one instead of booting. */
export function qemuRestoreCommandLine(spec: VmSpec, memory?: MemoryFile): readonly string[] {
  const { noKernel } = spec;
  const restored = { ...spec, kernel: noKernel, initrd: noKernel };
  return [...qemuCommandLine(restored, memory), "-incoming", "defer"];
}

export function qemuArguments(spec: VmSpec, memory?: MemoryFile): readonly string[] {
  const { kernel, initrd, agentSocket, controlSocket } = pathsInPlace(spec);
  const backend = memoryBackend(spec, memory);
  return [
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    ...["-display", "none"],
    ...["-name", `katasim-${spec.id.slice(0, 12)}`],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...[
      "-machine",
      `q35,vmport=off,smbus=off,sata=off,usb=off${backend === undefined ? "" : ",memory-backend=ram"}`,
    ],
    ...["-accel", spec.accelerator === "tcg" ? `tcg,tb-size=${codeMib(spec)}` : spec.accelerator],
    // "max" in software: images built for x86-64-v2 and v3 must run.
    ...["-cpu", spec.accelerator === "tcg" ? "max" : "host"],
    ...["-m", memorySize(spec)],
    ...(backend === undefined ? [] : ["-object", backend]),
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
    ...(spec.withoutSlots ? [] : diskSlots).flatMap(slotArguments),
    ...["-device", `pcie-pci-bridge,id=${pluggedBus},bus=pcie.0,addr=0x5`],
    // QEMU calls us: no waiting until its socket has appeared.
    ...["-chardev", `socket,id=control,path=${optionValue(controlSocket)}`],
    ...["-mon", "chardev=control,mode=control"],
  ];
}

/**
 * The cache of translated code. It is touched as it fills, and thrown away when it is full: a pod's start fills
 * 24 MiB, an idle pod needs next to nothing. More than 128 MiB was measured to gain nothing. QEMU 7.2
 * was seen to crash when a processor was plugged into a VM with a small one.
 */
function codeMib({ vcpus, most, codeCacheMib = 32 * vcpus }: VmSpec): number {
  return most === undefined ? Math.min(maxCodeMib, codeCacheMib) : maxCodeMib;
}

/** Room to grow costs the guest's kernel tables for it, so there is none where none was asked for. */
function memorySize({ memoryMib, most = { vcpus: 0, memoryMib } }: VmSpec): string {
  const room = most.memoryMib > memoryMib ? `,slots=${memorySlots},maxmem=${most.memoryMib}M` : "";
  return `${memoryMib}M${room}`;
}

function slotArguments({ id, empty, readOnly, place }: DiskSlot): readonly string[] {
  const settings = Object.entries(diskSettings).map(([name, value]) => `${name}=${value}`);
  return [
    ...[
      "-blockdev",
      `null-co,node-name=${empty},size=${emptyBytes},read-zeroes=on,read-only=${readOnly ? "on" : "off"}`,
    ],
    "-device",
    [
      ...["virtio-blk-pci", `id=${id}`, `drive=${empty}`],
      ...["bus=pcie.0", `addr=${slotAddress(place)}`, ...settings],
    ].join(","),
  ];
}

/** Undefined for memory that is QEMU's own. Throws VMM_START_FAILED for what would be both. */
function memoryBackend(spec: VmSpec, memory: MemoryFile | undefined): string | undefined {
  const { place, memoryMib, sharedMemory } = spec;
  if (memory === undefined) {
    return sharedMemory ? `memory-backend-memfd,id=ram,size=${memoryMib}M,share=on` : undefined;
  }
  if (sharedMemory) {
    throw shimError("VMM_START_FAILED", "a VM whose memory is a file shares no folders");
  }
  const path = optionValue(fileInPlace(place, memory.path, memoryName));
  const share = memory.use === "written" ? "on" : "off";
  return `memory-backend-file,id=ram,size=${memoryMib}M,mem-path=${path},share=${share}`;
}

function processors({ vcpus, most }: VmSpec): string {
  return most === undefined ? String(vcpus) : `${vcpus},maxcpus=${most.vcpus}`;
}

function networkArguments({ nic }: VmSpec): readonly string[] {
  if (nic === undefined) return [];
  return [
    ...["-netdev", backend(nic)],
    // No option ROM: the guest never boots from the network.
    ...[
      "-device",
      // A clone has nobody to tell of its move, and would do so at its first instant.
      `virtio-net-pci,netdev=net,mac=${nic.mac},bus=pcie.0,addr=0x3,romfile=,guest_announce=off`,
    ],
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
