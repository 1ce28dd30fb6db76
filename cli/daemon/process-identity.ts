/**
 * Who a process is, so that a pid that was given out again is never taken for ours: pid plus start time,
 * field 22 of /proc/<pid>/stat (proc(5)), in clock ticks since boot.
 */
import { readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Ticks since boot; with the boot id it is unique. */
  readonly startTicks: string;
}

/** Undefined when there is no such process, or only its zombie. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  const parsed = parseStat(stat);
  return parsed === undefined || parsed.state === "Z" || parsed.state === "X"
    ? undefined
    : { pid, startTicks: parsed.startTicks };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTicks === identity.startTicks;
}

/** The name in field 2 may hold blanks and brackets: fields are counted from its last bracket. */
export function parseStat(
  stat: string,
): { readonly state: string; readonly startTicks: string } | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  const startTicks = fields[19];
  return state === undefined || startTicks === undefined ? undefined : { state, startTicks };
}
