/**
 * Files the shim leaves in a bundle for whoever drives it: facts of the VM, true causes of death; and where
 * its disks go.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../common/files/atomic-write.ts";
import type { VmRecord } from "../shim-options.ts";

export interface ExitReason {
  /** One sentence, e.g. "the virtual machine monitor (qemu-system-x86_64, pid 1) was killed by SIGKILL". */
  readonly reason: string;
  /** Kubernetes' word for it where there is one. */
  readonly kind: "vmm-died" | "oom-killed" | "guest-out-of-memory" | "shim-died";
}

const vmRecordFile = "vm.json";
const exitReasonFile = "exit-reason.json";

/** Of a sandbox's bundle; undefined before the VM has booted. */
export function readVmRecord(bundle: string): VmRecord | undefined {
  return readJson(join(bundle, vmRecordFile)) as VmRecord | undefined;
}

export function writeVmRecord(bundle: string, record: VmRecord): void {
  writeFileAtomic(join(bundle, vmRecordFile), `${JSON.stringify(record, null, 2)}\n`);
}

/** Of a container's or sandbox's bundle; undefined when it ended by itself. */
export function readExitReason(bundle: string): ExitReason | undefined {
  return readJson(join(bundle, exitReasonFile)) as ExitReason | undefined;
}

export function writeExitReason(bundle: string, reason: ExitReason): void {
  writeFileAtomic(join(bundle, exitReasonFile), `${JSON.stringify(reason)}\n`);
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** containerd keeps `work` on a disk, while the bundle itself usually is memory. */
export function workFolder(bundle: string): string {
  const work = join(bundle, "work");
  try {
    return statSync(work).isDirectory() ? work : bundle;
  } catch {
    mkdirSync(bundle, { recursive: true });
    return bundle;
  }
}
