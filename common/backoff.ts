/**
 * Delays that double per key, as client-go's flowcontrol.Backoff (util/flowcontrol/backoff.go): the
 * caller decides with event times, so an injected clock is all a test needs.
 */
import type { Clock } from "./clock.ts";

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly clock: Clock;
}

export interface Backoff {
  /** The present delay of the key, 0 when it has none. */
  delayMs(key: string): number;
  /** Doubles the delay; begins anew when the last step is older than twice the maximum. */
  next(key: string, eventTimeMs: number): void;
  /** Milliseconds still to wait after something that happened at `eventTimeMs`; 0 = go on. */
  remainingMs(key: string, eventTimeMs: number): number;
  /** As `remainingMs`, counted from the last `next`. */
  remainingSinceUpdateMs(key: string): number;
  forget(key: string): void;
}

interface Entry {
  delayMs: number;
  updatedAtMs: number;
}

export function createBackoff(options: BackoffOptions): Backoff {
  const { clock, initialMs, maxMs } = options;
  const entries = new Map<string, Entry>();
  // Twice the maximum: a thing that ran that long (kubelet: 10 minutes) has earned a fresh start.
  const expired = (entry: Entry, eventTimeMs: number) =>
    eventTimeMs - entry.updatedAtMs > 2 * maxMs;
  const remaining = (entry: Entry | undefined, sinceMs: number) =>
    entry === undefined || expired(entry, sinceMs)
      ? 0
      : Math.max(0, sinceMs + entry.delayMs - clock.nowMs());
  return {
    delayMs: (key) => entries.get(key)?.delayMs ?? 0,
    next(key, eventTimeMs) {
      const entry = entries.get(key);
      const delayMs =
        entry === undefined || expired(entry, eventTimeMs)
          ? initialMs
          : Math.min(entry.delayMs * 2, maxMs);
      entries.set(key, { delayMs, updatedAtMs: clock.nowMs() });
    },
    remainingMs: (key, eventTimeMs) => remaining(entries.get(key), eventTimeMs),
    remainingSinceUpdateMs(key) {
      const entry = entries.get(key);
      return remaining(entry, entry?.updatedAtMs ?? 0);
    },
    forget(key) {
      entries.delete(key);
    },
  };
}
