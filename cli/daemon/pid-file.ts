/**
 * The pid file of an instance: one line each for pid, start time and boot id. It is the lock, too:
 * whoever links it into place owns the instance.
 */

import { readFileSync } from "node:fs";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import {
  identityOf,
  isAlive,
  type ProcessIdentity,
} from "../../common/process/process-identity.ts";

export interface PidFileClaim {
  /** Removes the file if it is still ours. */
  release(): Promise<void>;
}

/** The process that owns the instance; undefined when none does, stale files included. */
export async function readPidFile(path: string): Promise<ProcessIdentity | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return undefined;
  }
  const identity = parsePidFile(text, bootId());
  return identity !== undefined && isAlive(identity) ? identity : undefined;
}

/** Takes the instance for this process, or answers who has it. */
export async function claimPidFile(path: string): Promise<PidFileClaim | ProcessIdentity> {
  const self = identityOf(process.pid);
  if (self === undefined) throw new Error("/proc is not mounted");
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const text = `${self.pid}\n${self.startTime}\n${bootId()}\n`;
  const temporary = `${path}.${self.pid}`;
  await writeFile(temporary, text, { mode: 0o600 });
  try {
    // link(2) is atomic and refuses an existing name: the file is never seen half written.
    for (;;) {
      try {
        await link(temporary, path);
        return { release: () => releasePidFile(path, text) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const owner = await readPidFile(path);
      if (owner !== undefined) return owner;
      await rm(path, { force: true });
    }
  } finally {
    await rm(temporary, { force: true });
  }
}

export function isClaim(value: PidFileClaim | ProcessIdentity): value is PidFileClaim {
  return "release" in value;
}

export function parsePidFile(text: string, currentBootId: string): ProcessIdentity | undefined {
  const [pid = "", startTime = "", boot = ""] = text.split("\n");
  if (!/^[1-9]\d*$/.test(pid) || !/^\d+$/.test(startTime) || boot !== currentBootId) {
    return undefined;
  }
  return { pid: Number(pid), startTime };
}

async function releasePidFile(path: string, text: string): Promise<void> {
  const present = await readFile(path, "utf8").catch(() => undefined);
  if (present === text) await rm(path, { force: true });
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
