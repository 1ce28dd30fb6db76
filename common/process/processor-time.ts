/** Processor time that a process has used since its start, with all its threads: proc(5), `stat`. */
import { readFileSync } from "node:fs";

// USER_HZ: 100 on every Linux that Node runs on.
const tickMs = 10;

/** Throws when there is no such process. */
export function processorTimeMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // Its name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}
