/**
 * How much of something harmless a guest may send before it is given up: frames that mean nothing cost
 * time all the same, and a guest that sends them without end has nothing else in mind.
 */
import { shimError } from "../errors.ts";

export interface Allowance {
  /** Throws GUEST_PROTOCOL with the words once it is used up. */
  take(amount: number): void;
  add(amount: number): void;
}

export function createAllowance(options: {
  readonly max: number;
  readonly initial: number;
  readonly perSecond: number;
  /** What the guest did, for the reason of its end. */
  readonly words: string;
}): Allowance {
  const { max, perSecond, words } = options;
  let left = options.initial;
  let countedAtMs = performance.now();
  const add = (amount: number) => {
    left = Math.min(max, left + amount);
  };
  return {
    add,
    take(amount) {
      const nowMs = performance.now();
      add(((nowMs - countedAtMs) / 1000) * perSecond);
      countedAtMs = nowMs;
      left -= amount;
      if (left < 0) throw shimError("GUEST_PROTOCOL", words);
    },
  };
}
