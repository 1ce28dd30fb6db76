/**
 * What a probe measured on a rung, kept in a file. It counts only for the host boot, host kernel and
 * hypervisor build it was measured on.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../../common/files/atomic-write.ts";
import type { Rung } from "../ladder.ts";

/** What a measurement depends on. */
interface MeasurementKey {
  /** /proc/sys/kernel/random/boot_id of the host. */
  readonly hostBootId: string;
  readonly hostKernel: string;
  /** Path, size and change time of the hypervisor's program. */
  readonly vmmBuild: string;
}

const MeasurementSchema = z.object({
  usable: z.boolean(),
  /** One sentence: what was done and what came of it. */
  explanation: z.string(),
  /** How long 200 000 loop turns in ring 0 took in each try; null = that try failed. */
  loopMs: z.array(z.number().nullable()),
  key: z.object({ hostBootId: z.string(), hostKernel: z.string(), vmmBuild: z.string() }),
});

export type Measurement = z.infer<typeof MeasurementSchema>;

export function measurementKey(program: string): MeasurementKey {
  const { size, mtimeMs } = statSync(program);
  return {
    hostBootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    hostKernel: release(),
    vmmBuild: `${program} ${size} ${mtimeMs}`,
  };
}

/** Undefined when there is none, or it was made under another key. */
export function readMeasurement(
  folder: string,
  rung: Rung,
  key: MeasurementKey,
): Measurement | undefined {
  try {
    const text = readFileSync(measurementFile(folder, rung), "utf8");
    const measurement = MeasurementSchema.parse(JSON.parse(text));
    const same = JSON.stringify(measurement.key) === JSON.stringify(key);
    return same ? measurement : undefined;
  } catch {
    return undefined;
  }
}

/** A folder that cannot be written costs the next sandbox a probe, no more. */
export function writeMeasurement(folder: string, rung: Rung, measurement: Measurement): void {
  try {
    mkdirSync(folder, { recursive: true });
    const text = `${JSON.stringify(measurement, null, 2)}\n`;
    writeFileAtomic(measurementFile(folder, rung), text, { mode: 0o644 });
  } catch {}
}

function measurementFile(folder: string, { hypervisor, accelerator }: Rung): string {
  return join(folder, `probe-${hypervisor}-${accelerator}.json`);
}
