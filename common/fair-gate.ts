/**
 * So many at a time, first come first served: who leaves the queue or fails gives the place on. (A counting
 * semaphore whose waiting line can be looked at.)
 */
import type { Clock } from "./clock.ts";

export interface FairGate {
  readonly places: number;
  /**
   * Resolves with a place when it is this one's turn; the place is held until `leave`, which may be repeated.
   * Rejects with the signal's reason, and the line closes up, when it aborts first.
   */
  enter(signal: AbortSignal): Waiter;
  state(): GateState;
}

export interface Waiter {
  readonly entered: Promise<{ leave(): void }>;
  /** How many are before this one; 0 also for who has entered. */
  before(): number;
}

export interface GateState {
  readonly places: number;
  readonly inside: number;
  readonly waiting: number;
  /** Since when the first in the line waits. */
  readonly oldestSinceMs?: number;
}

interface Entry {
  readonly sinceMs: number;
  readonly admit: () => void;
}

export function createFairGate(places: number, clock: Pick<Clock, "nowMs">): FairGate {
  const line: Entry[] = [];
  let inside = 0;

  const admitNext = () => {
    while (inside < places) {
      const next = line.shift();
      if (next === undefined) return;
      inside++;
      next.admit();
    }
  };
  const place = () => {
    let held = true;
    return {
      leave() {
        if (!held) return;
        held = false;
        inside--;
        admitNext();
      },
    };
  };

  return {
    places,
    enter(signal) {
      let entry: Entry | undefined;
      const entered = new Promise<{ leave(): void }>((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        const giveUp = () => {
          const at = entry === undefined ? -1 : line.indexOf(entry);
          if (at === -1) return;
          line.splice(at, 1);
          reject(signal.reason);
        };
        entry = {
          sinceMs: clock.nowMs(),
          admit() {
            signal.removeEventListener("abort", giveUp);
            resolve(place());
          },
        };
        signal.addEventListener("abort", giveUp, { once: true });
        line.push(entry);
        admitNext();
      });
      return {
        entered,
        before: () => Math.max(0, entry === undefined ? 0 : line.indexOf(entry)),
      };
    },
    state() {
      const oldest = line[0];
      return {
        places,
        inside,
        waiting: line.length,
        ...(oldest === undefined ? {} : { oldestSinceMs: oldest.sinceMs }),
      };
    },
  };
}
