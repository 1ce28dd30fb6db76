/**
 * What two VMs must have in common for the state of one to be the other's: everything that decides what
 * the guest's memory and devices look like. Its digest is a template's name.
 */
import { createHash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import type { GuestFiles } from "../hypervisors/guest-files.ts";
import type { Hypervisor, VmShape, VmSpec } from "../hypervisors/hypervisor.ts";

// Raised when what the shim does to a guest before it saves it changes, or what a manifest says of it.
const format = 3;

export interface TemplateInputs {
  readonly format: number;
  /** "qemu/tcg" */
  readonly rung: string;
  /** Of the hypervisor's program, the guest's kernel and its initramfs. */
  readonly program: string;
  readonly kernel: string;
  readonly initrd: string;
  /** Of this machine, in a digest. */
  readonly cpu: string;
  readonly vcpus: number;
  readonly memoryMib: number;
  /** What it may grow to; absent where it stays. */
  readonly most?: VmShape;
  /** "tap" | "user" | "none" */
  readonly nic: string;
  /** As the hypervisor describes it. */
  readonly machine: readonly string[];
}

export function templateInputs(
  hypervisor: Hypervisor,
  spec: VmSpec,
  files: Pick<GuestFiles, "kernel" | "initrd">,
): TemplateInputs {
  const { program, machine } = hypervisor.describe(spec);
  return {
    format,
    rung: `${hypervisor.name}/${spec.accelerator}`,
    program: fileIdentity(program),
    kernel: fileIdentity(files.kernel),
    initrd: fileIdentity(files.initrd),
    cpu: processorDigest(readFileSync("/proc/cpuinfo", "utf8")),
    vcpus: spec.vcpus,
    memoryMib: spec.memoryMib,
    ...(spec.most === undefined ? {} : { most: spec.most }),
    nic: spec.nic?.kind ?? "none",
    machine,
  };
}

/** 20 hexadecimal digits. */
export function templateKey(inputs: TemplateInputs): string {
  return createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 20);
}

/** A package or build that brings another file brings another size or time. */
function fileIdentity(path: string): string {
  const real = realpathSync(path);
  const { size, mtimeMs } = statSync(real);
  return `${real} ${size} ${mtimeMs}`;
}

/** A guest has looked at the processor, and its code may use what it found there. */
export function processorDigest(cpuinfo: string): string {
  const facts = ["vendor_id", "model name", "flags"].map(
    (name) => new RegExp(`^${name}\\s*:\\s*(.*)$`, "m").exec(cpuinfo)?.[1] ?? "",
  );
  return createHash("sha256").update(facts.join("\n")).digest("hex").slice(0, 16);
}
