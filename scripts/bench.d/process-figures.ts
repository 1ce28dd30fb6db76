/** What the kernel tells of a process: proc(5). */
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Its proportional share of memory: a page that three processes map counts a third. */
export function pssMib(pid: number): number {
  return kibOf(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"), "Pss") / 1024;
}

export function residentMib(pid: number): number {
  return kibOf(readFileSync(`/proc/${pid}/status`, "utf8"), "VmRSS") / 1024;
}

function kibOf(text: string, field: string): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`/proc shows no ${field}`);
  return Number(found);
}

export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

const lookEveryMs = 2;

/** When (performance.now) the last of them had gone. */
export async function whenGone(pids: readonly number[], signal: AbortSignal): Promise<number> {
  while (pids.some((pid) => existsSync(`/proc/${pid}`))) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
  return performance.now();
}
