/**
 * What processes really take of this machine's memory: the proportional set size, in which a page that
 * several share counts for each with its share (proc(5) smaps_rollup). Sums of it are true; sums of resident
 * sizes count shared pages again and again.
 */
import { readdirSync, readFileSync } from "node:fs";
import { statFields } from "../../common/process/process-identity.ts";

/** "rss" where the kernel shows no smaps_rollup of the process to this user: then it is too much. */
export type MemoryMeasure = "pss" | "rss";

export interface ProcessMemory {
  readonly bytes: number;
  readonly measure: MemoryMeasure;
}

/** 0 bytes when it has gone. */
export function memoryOf(pid: number): ProcessMemory {
  const pss = kibFrom(`/proc/${pid}/smaps_rollup`, "Pss");
  if (pss !== undefined) return { bytes: pss * 1024, measure: "pss" };
  const rss = kibFrom(`/proc/${pid}/status`, "VmRSS");
  return { bytes: (rss ?? 0) * 1024, measure: rss === undefined ? "pss" : "rss" };
}

/** The sum is only as good as the worst of its parts. */
export function sumMemory(parts: readonly ProcessMemory[]): ProcessMemory {
  return {
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    measure: parts.some(({ measure }) => measure === "rss") ? "rss" : "pss",
  };
}

/** What was started by a process, and by those in turn: one look at /proc for all who ask. */
export function processTree(): (pid: number) => readonly number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) ? parentOf(Number(name)) : undefined;
    if (parent === undefined) continue;
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const below = (pid: number): readonly number[] =>
    (children.get(pid) ?? []).flatMap((child) => [child, ...below(child)]);
  return below;
}

/** proc(5) stat: the parent is field 4. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(statFields(stat)[1]);
  } catch {
    return undefined;
  }
}

/** Undefined for a file that cannot be read, or is empty as that of a zombie. */
function kibFrom(file: string, field: string): number | undefined {
  try {
    const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(file, "utf8"))?.[1];
    return kib === undefined ? undefined : Number(kib);
  } catch {
    return undefined;
  }
}
