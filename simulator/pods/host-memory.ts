/**
 * Whether a micro-VM may start with the memory that is free on this machine. Guests take memory as they touch
 * it, so of a VM that runs only what it really has counts: many idle ones fit. One that starts has taken
 * nothing yet: what it will take at once is promised to it until its sandbox stands. A reserve is never given
 * away, for this machine's own programs and for guests that grow.
 */
import { readFile } from "node:fs/promises";

export interface MemoryNeed {
  /** All the memory the guest may ever take. */
  readonly wholeMib: number;
  /** What it takes at once: its boot, and what its containers request. */
  readonly firstMib: number;
}

export interface HostMemory {
  /**
   * Undefined and the memory is promised, or what is missing. While only the promises to others are in the
   * way it waits, first come first served. The promise ends with `release`. Rejects when `signal` aborts.
   */
  promise(key: string, need: MemoryNeed, signal: AbortSignal): Promise<MemoryShortage | undefined>;
  release(key: string): void;
  facts(): Promise<HostMemoryFacts>;
}

export interface HostMemoryFacts extends MemoryReading {
  readonly reserveMib: number;
  /** To VMs that are starting. */
  readonly promisedMib: number;
}

export interface MemoryShortage {
  /** "ever": this machine is too small for the VM. "now": others have taken too much of it. */
  readonly kind: "ever" | "now";
  readonly neededMib: number;
  readonly availableMib: number;
  readonly totalMib: number;
  readonly reserveMib: number;
}

export interface MemoryReading {
  readonly availableMib: number;
  readonly totalMib: number;
}

export interface HostMemoryOptions {
  readonly read?: () => Promise<MemoryReading>;
  /** Default: a twentieth of this machine's memory, at least 256 and at most 1024 MiB. */
  readonly reserveMib?: number | undefined;
}

export function createHostMemory(options: HostMemoryOptions = {}): HostMemory {
  const { read = readMeminfo } = options;
  const promised = new Map<string, number>();
  const wakers = new Set<() => void>();
  let line: Promise<unknown> = Promise.resolve();

  const reserveOf = (totalMib: number) =>
    options.reserveMib ?? Math.min(1024, Math.max(256, Math.floor(totalMib / 20)));
  const sum = () => [...promised.values()].reduce((total, mib) => total + mib, 0);
  const released = () => new Promise<void>((resolve) => wakers.add(resolve));

  const grant = async (
    key: string,
    { wholeMib, firstMib }: MemoryNeed,
    signal: AbortSignal,
  ): Promise<MemoryShortage | undefined> => {
    promised.delete(key);
    for (;;) {
      signal.throwIfAborted();
      const { availableMib, totalMib } = await read();
      const common = { availableMib, totalMib, reserveMib: reserveOf(totalMib) };
      const roomMib = availableMib - common.reserveMib;
      if (wholeMib > totalMib - common.reserveMib) {
        return { kind: "ever", neededMib: wholeMib, ...common };
      }
      if (firstMib > roomMib) return { kind: "now", neededMib: firstMib, ...common };
      signal.throwIfAborted();
      if (firstMib <= roomMib - sum()) {
        promised.set(key, firstMib);
        return undefined;
      }
      await unlessAborted(released(), signal);
    }
  };

  return {
    promise(key, need, signal) {
      const mine = line.then(() => grant(key, need, signal));
      line = mine.catch(() => {});
      // Who is deleted goes at once, wherever it stands in the line.
      return unlessAborted(mine, signal);
    },
    release(key) {
      if (!promised.delete(key)) return;
      for (const wake of wakers) wake();
      wakers.clear();
    },
    async facts() {
      const reading = await read();
      return { ...reading, reserveMib: reserveOf(reading.totalMib), promisedMib: sum() };
    },
  };
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
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
