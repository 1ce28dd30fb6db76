/** A clock that stands still until a test moves it. */
import type { Clock } from "../../common/clock.ts";

export interface ManualClock extends Clock {
  /** Moves the time and lets everything that fell due, and what follows from it, run. */
  advance(durationMs: number): Promise<void>;
}

interface Sleeper {
  readonly dueAtMs: number;
  readonly wake: () => void;
}

/** Lets pending promise callbacks run, including those of real file operations under way. */
export async function settle(rounds = 5): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

export function createManualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let nowMs = startMs;
  let sleepers: Sleeper[] = [];
  return {
    nowMs: () => nowMs,
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        const sleeper: Sleeper = {
          dueAtMs: nowMs + delayMs,
          wake: () => {
            signal?.removeEventListener("abort", onAbort);
            resolve();
          },
        };
        const onAbort = () => {
          sleepers = sleepers.filter((other) => other !== sleeper);
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", onAbort, { once: true });
        sleepers.push(sleeper);
      }),
    async advance(durationMs) {
      const targetMs = nowMs + durationMs;
      for (;;) {
        const due = sleepers
          .filter((sleeper) => sleeper.dueAtMs <= targetMs)
          .sort((a, b) => a.dueAtMs - b.dueAtMs)[0];
        if (due === undefined) break;
        nowMs = Math.max(nowMs, due.dueAtMs);
        sleepers = sleepers.filter((sleeper) => sleeper !== due);
        due.wake();
        await settle();
      }
      nowMs = targetMs;
      await settle();
    },
  };
}
