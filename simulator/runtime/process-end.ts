/** Looks at processes by pid without mistaking a re-used pid for the one that was meant. */
import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../../common/clock.ts";

/** Whether `pid` is alive and its command line names `word`. A zombie is not alive. */
export function isAlive(pid: number, word: string): boolean {
  try {
    // Empty for zombies and kernel threads.
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(word);
  } catch {
    return false;
  }
}

/** The process whose arguments name both; for a shim that was never asked for its pid. */
export function findProcess(word: string, argument: string): number | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      if (line.includes(argument) && line.some((part) => part.includes(word))) return Number(name);
    } catch {
      // Ended while we looked.
    }
  }
  return undefined;
}

// A shim answers Shutdown and then exits: this is for those that hang.
const graceMs = 2_000;
const pollMs = 20;

/** Waits for the process to go and kills it when it does not. */
export async function endProcess(pid: number, word: string, clock: Clock): Promise<void> {
  for (let waitedMs = 0; isAlive(pid, word); waitedMs += pollMs) {
    if (waitedMs >= graceMs) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone in between.
      }
      return;
    }
    await clock.sleep(pollMs);
  }
}
