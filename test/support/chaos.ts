/** Seeded accidents: kill -9 of processes a private containerd has, at random moments. */
import { readdirSync, readFileSync } from "node:fs";
import type { Containerd } from "./containerd.ts";

export type Victim = "shim" | "VMM" | "containerd";

/** A number in [0, 1) at each call; the same ones for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Killer {
  readonly kills: Readonly<Record<Victim, number>>;
  /** One at a time. containerd is started again at once, as systemd does. */
  kill(victim: Victim): Promise<void>;
}

export function createKiller(containerd: Containerd, random: () => number): Killer {
  const kills: Record<Victim, number> = { shim: 0, VMM: 0, containerd: 0 };
  let last: Promise<void> = Promise.resolve();
  const killNow = async (victim: Victim) => {
    if (victim === "containerd") {
      await containerd.stop("SIGKILL");
      kills.containerd += 1;
      await containerd.start();
      return;
    }
    const pids = pidsOf(containerd.folder, victim);
    const pid = pids[Math.floor(random() * pids.length)];
    if (pid === undefined) return;
    try {
      process.kill(pid, "SIGKILL");
      kills[victim] += 1;
    } catch {
      // It ended meanwhile.
    }
  };
  return {
    kills,
    kill(victim) {
      last = last.then(() => killNow(victim));
      return last;
    },
  };
}

const programs = { shim: "containerd-shim-katasim-v2", VMM: "qemu-system" };

/**
 * Daemons, and `start` while it runs; VMMs of sandboxes and of a probe. Not `delete`: where that fails,
 * containerd 1.6 keeps the bundle until its next start.
 */
function pidsOf(folder: string, victim: "shim" | "VMM"): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const words = commandLine(pid);
      if (!words.includes(programs[victim]) || words.trimEnd().endsWith(" delete")) return false;
      // A VMM is known by the shim that started it.
      return `${words}${commandLine(parentOf(pid))}`.includes(`${folder}/`);
    })
    .map(Number);
}

function parentOf(pid: string): string {
  try {
    return /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
