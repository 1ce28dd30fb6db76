/**
 * Whether a micro-VM fits into the memory that is really free on this machine. A booting VM has not
 * touched its memory yet, so what was promised a moment ago counts as used.
 */
import { readFile } from "node:fs/promises";

export interface HostMemory {
  /**
   * Undefined and the memory is promised, or what is missing. The promise ends with `release`.
   */
  promise(key: string, neededMib: number): Promise<MemoryShortage | undefined>;
  release(key: string): void;
}

export interface MemoryShortage {
  readonly neededMib: number;
  readonly availableMib: number;
  readonly totalMib: number;
}

export interface MemoryReading {
  readonly availableMib: number;
  readonly totalMib: number;
}

export function createHostMemory(read: () => Promise<MemoryReading> = readMeminfo): HostMemory {
  const promised = new Map<string, number>();
  return {
    async promise(key, neededMib) {
      const { availableMib, totalMib } = await read();
      const others = [...promised].reduce(
        (sum, [other, mib]) => (other === key ? sum : sum + mib),
        0,
      );
      const left = Math.max(0, availableMib - others);
      if (neededMib > left) return { neededMib, availableMib: left, totalMib };
      promised.set(key, neededMib);
      return undefined;
    },
    release(key) {
      promised.delete(key);
    },
  };
}

export async function readMeminfo(): Promise<MemoryReading> {
  return meminfoFrom(await readFile("/proc/meminfo", "utf8"));
}

/** proc(5) meminfo; amounts are in KiB. */
export function meminfoFrom(text: string): MemoryReading {
  const mib = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1];
    return Math.floor(Number(kib ?? 0) / 1024);
  };
  return { availableMib: mib("MemAvailable"), totalMib: mib("MemTotal") };
}
