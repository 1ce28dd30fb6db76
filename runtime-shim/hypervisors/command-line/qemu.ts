/**
 * VmSpec → command line of qemu-system-x86_64. Pure. Every device has a fixed place, so that a saved
 * VM can later be restored into the same list.
 */
import { agentPortName } from "../../guest-client/protocol.ts";
import type { VmSpec } from "../hypervisor.ts";

export const qemuProgram = "qemu-system-x86_64";

/** Disks are hot-plugged behind one PCI bridge: 31 slots for the boot cost of one device. */
export const diskBus = "disks";
export const diskSlots = 31;

/**
 * Kernel parameters. Only what was measured to pay under software emulation; nothing that weakens
 * the guest (no nokaslr, no mitigations=off).
 */
export const kernelParameters = [
  // One serial port instead of four to look for, for early messages and a panic's last words.
  "console=ttyS0",
  "8250.nr_uarts=1",
  // Warnings and worse: printing is what costs.
  "loglevel=5",
  // A panicked guest ends its VMM (with -no-reboot) instead of hanging.
  "panic=-1",
  // Self tests of the crypto modules take 0.45 s of a boot.
  "cryptomgr.notests=1",
  "audit=0",
  "no_timer_check",
  "rcupdate.rcu_expedited=1",
  // Things a micro-VM never uses.
  "initcall_blacklist=load_system_certificate_list,crypto_kdf108_init,init_encrypted,init_kprobe_trace,slab_sysfs_init,hugetlb_init",
].join(" ");

/** Program and arguments, with the wrappers that put QEMU into its place. */
export function qemuCommandLine(spec: VmSpec): readonly string[] {
  return [
    ...(spec.netnsPath === undefined ? [] : ["nsenter", `--net=${spec.netnsPath}`, "--"]),
    // Without root's powers but one: kernel and images may lie below a user's private folder. And
    // when the shim dies, so does its VM.
    "setpriv",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all,+dac_read_search",
    "--pdeathsig=SIGKILL",
    "--",
    qemuProgram,
    ...qemuArguments(spec),
  ];
}

export function qemuArguments(spec: VmSpec): readonly string[] {
  return [
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    ...["-display", "none"],
    ...["-name", `katasim-${spec.id.slice(0, 12)}`],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-machine", "q35,vmport=off,smbus=off,sata=off,usb=off"],
    ...["-accel", spec.accelerator],
    // "max" in software: images built for x86-64-v2 and v3 must run.
    ...["-cpu", spec.accelerator === "tcg" ? "max" : "host"],
    ...["-m", `${spec.memoryMib}M`],
    ...["-smp", String(spec.vcpus)],
    ...["-kernel", optionValue(spec.kernel)],
    ...["-initrd", optionValue(spec.initrd)],
    ...["-append", kernelParameters],
    // Standard output is a pipe to the shim, which bounds the log's size.
    ...["-chardev", "stdio,id=console,signal=off"],
    ...["-device", "isa-serial,chardev=console"],
    ...["-chardev", `socket,id=agent,path=${optionValue(spec.agentSocket)}`],
    ...["-device", "virtio-serial-pci,id=serial,bus=pcie.0,addr=0x2,max_ports=2"],
    ...["-device", `virtserialport,bus=serial.0,nr=1,chardev=agent,name=${agentPortName}`],
    ...networkArguments(spec),
    ...["-object", "rng-random,id=rng,filename=/dev/urandom"],
    ...["-device", "virtio-rng-pci,rng=rng,bus=pcie.0,addr=0x4"],
    ...["-device", `pcie-pci-bridge,id=${diskBus},bus=pcie.0,addr=0x5`],
    // QEMU calls us: no waiting until its socket has appeared.
    ...["-chardev", `socket,id=control,path=${optionValue(spec.controlSocket)}`],
    ...["-mon", "chardev=control,mode=control"],
  ];
}

function networkArguments({ nic }: VmSpec): readonly string[] {
  if (nic === undefined) return [];
  return [
    ...["-netdev", `tap,id=net,ifname=${nic.tap},script=no,downscript=no`],
    // No option ROM: the guest never boots from the network.
    ...["-device", `virtio-net-pci,netdev=net,mac=${nic.mac},bus=pcie.0,addr=0x3,romfile=`],
  ];
}

/** QEMU splits option values at commas; a doubled comma stands for one. */
export function optionValue(value: string): string {
  return value.replaceAll(",", ",,");
}
