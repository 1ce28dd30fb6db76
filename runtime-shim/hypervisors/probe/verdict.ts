/**
 * What a probe found out about an accelerator of this machine, kept in a file. A verdict counts only
 * for the host boot, host kernel and QEMU build it was measured on.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../../common/files/atomic-write.ts";

/** What a verdict depends on. */
export interface ProbeKey {
  /** /proc/sys/kernel/random/boot_id of the host. */
  readonly hostBootId: string;
  readonly hostKernel: string;
  /** First line of `qemu-system-x86_64 --version`, with size and mtime of the binary. */
  readonly vmmBuild: string;
}

const VerdictSchema = z.object({
  accelerator: z.literal("kvm"),
  usable: z.boolean(),
  /** One sentence: what was done and what came of it. */
  explanation: z.string(),
  /** How long 200 000 loop turns in ring 0 took in each try; null = that try failed. */
  loopMs: z.array(z.number().nullable()),
  key: z.object({ hostBootId: z.string(), hostKernel: z.string(), vmmBuild: z.string() }),
});

export type ProbeVerdict = z.infer<typeof VerdictSchema>;

const fileName = "probe-kvm.json";

/** The cached verdict; undefined when there is none or it was measured on another boot or build. */
export function readProbeVerdict(folder: string, key?: ProbeKey): ProbeVerdict | undefined {
  try {
    const verdict = VerdictSchema.parse(JSON.parse(readFileSync(join(folder, fileName), "utf8")));
    const bootId = key?.hostBootId ?? hostBootId();
    if (verdict.key.hostBootId !== bootId) return undefined;
    if (key !== undefined && verdict.key.vmmBuild !== key.vmmBuild) return undefined;
    return verdict;
  } catch {
    return undefined;
  }
}

export function writeProbeVerdict(folder: string, verdict: ProbeVerdict): void {
  writeFileAtomic(join(folder, fileName), `${JSON.stringify(verdict, null, 2)}\n`, { mode: 0o644 });
}

export function hostBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
