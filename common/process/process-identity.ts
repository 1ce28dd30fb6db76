/**
 * A process is its pid AND its start time: pids are used again, so killing by pid alone may hit a
 * stranger. Pid files hold both.
 */
import { readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { writeFileAtomic } from "../files/atomic-write.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks after boot. */
  readonly startTime: string;
}

/** undefined when there is no such process (a zombie counts as gone). */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const stat = parseStat(readText(`/proc/${pid}/stat`));
  return stat === undefined || stat.state === "Z" || stat.state === "X"
    ? undefined
    : { pid, startTime: stat.startTime };
}

/** /proc/<pid>/stat behind the name, which may itself hold spaces and brackets: field 3, the state, is the first. */
export function statFields(text: string): readonly string[] {
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

export function parseStat(
  text: string | undefined,
): { readonly state: string; readonly startTime: string } | undefined {
  const fields = text === undefined ? undefined : statFields(text);
  const state = fields?.[0];
  const startTime = fields?.[19];
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identityOf(identity.pid)?.startTime === identity.startTime;
}

/** Does nothing when the process cannot be found any more. */
export function writePidFile(path: string, pid: number): ProcessIdentity | undefined {
  const identity = identityOf(pid);
  if (identity !== undefined) {
    writeFileAtomic(path, `${identity.pid} ${identity.startTime}\n`);
  }
  return identity;
}

export function readPidFile(path: string): ProcessIdentity | undefined {
  const match = /^(\d+) (\d+)\n?$/.exec(readText(path) ?? "");
  return match === null ? undefined : { pid: Number(match[1]), startTime: match[2] as string };
}

/**
 * SIGKILLs the process a pid file names, waits until it is gone and removes the file. Answers
 * whether there was something to kill. Idempotent.
 */
export async function killByPidFile(path: string, timeoutMs = 5_000): Promise<boolean> {
  const identity = readPidFile(path);
  const killed = identity !== undefined && (await killProcess(identity, timeoutMs));
  rmSync(path, { force: true });
  return killed;
}

/** SIGKILL and wait; false when it was gone already. */
export async function killProcess(identity: ProcessIdentity, timeoutMs = 5_000): Promise<boolean> {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, "SIGKILL");
  } catch {
    return false;
  }
  const deadline = Date.now() + timeoutMs;
  while (isAlive(identity) && Date.now() < deadline) await sleep(5);
  return true;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
