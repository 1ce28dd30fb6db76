/** Resident memory of a process, from /proc/<pid>/status (proc(5)). */
import { readFileSync } from "node:fs";

/** 0 when it has gone. */
export function residentBytesOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
