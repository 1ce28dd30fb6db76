/** Processor time that a process has used since its start, with all its threads: proc(5), `stat`. */
import { readFileSync } from "node:fs";
import { statFields } from "./process-identity.ts";

// USER_HZ: 100 on every Linux that Node runs on.
const tickMs = 10;

/** Throws when there is no such process. */
export function processorTimeMs(pid: number): number {
  const fields = statFields(readFileSync(`/proc/${pid}/stat`, "utf8"));
  // utime and stime are fields 14 and 15.
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}
