/**
 * Keyed, de-duplicating, level-triggered work (client-go util/workqueue): a key is processed by one
 * worker at a time, keys run side by side, and a key added while it is being processed runs again
 * afterwards. What a key means is read anew by every run, so events may be lost but never states.
 */
import type { Clock } from "./clock.ts";

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** May resolve with a delay after which the key runs again. A rejection goes to `onError`. */
  readonly process: (key: string) => Promise<number | undefined>;
  /** Answers after how many milliseconds the failed key runs again. */
  readonly onError: (key: string, error: unknown) => number;
}

export interface WorkQueue {
  add(key: string): void;
  /** The earliest of several wishes for one key wins; a run of the key cancels them. */
  addAfter(key: string, delayMs: number): void;
  /** Drops delayed and pending runs of the key; a run under way goes on. */
  forget(key: string): void;
  /** Resolves when nothing runs and nothing is pending; delayed keys do not count. */
  idle(): Promise<void>;
  /** No run begins any more; resolves when the runs under way have ended. */
  close(): Promise<void>;
}

interface Delayed {
  readonly dueAtMs: number;
  readonly cancel: AbortController;
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { clock, process, onError } = options;
  const running = new Set<string>();
  const dirty = new Set<string>();
  const delayed = new Map<string, Delayed>();
  let closed = false;
  let idleWaiters: Array<() => void> = [];

  const settleIdle = () => {
    if (running.size > 0) return;
    const waiters = idleWaiters;
    idleWaiters = [];
    for (const waiter of waiters) waiter();
  };

  const cancelDelayed = (key: string) => {
    delayed.get(key)?.cancel.abort();
    delayed.delete(key);
  };

  const run = async (key: string) => {
    let again: number | undefined;
    try {
      again = await process(key);
    } catch (error) {
      again = onError(key, error);
    }
    running.delete(key);
    if (dirty.delete(key)) add(key);
    else if (again !== undefined) addAfter(key, again);
    settleIdle();
  };

  const add = (key: string) => {
    if (closed) return;
    if (running.has(key)) {
      dirty.add(key);
      return;
    }
    cancelDelayed(key);
    running.add(key);
    // Never inside the caller's stack: an event handler must not run the work.
    queueMicrotask(() => void run(key));
  };

  const addAfter = (key: string, delayMs: number) => {
    if (closed) return;
    if (delayMs <= 0) {
      add(key);
      return;
    }
    const dueAtMs = clock.nowMs() + delayMs;
    const present = delayed.get(key);
    if (present !== undefined && present.dueAtMs <= dueAtMs) return;
    cancelDelayed(key);
    const cancel = new AbortController();
    delayed.set(key, { dueAtMs, cancel });
    clock.sleep(delayMs, cancel.signal).then(
      () => {
        if (delayed.get(key)?.cancel === cancel) delayed.delete(key);
        add(key);
      },
      () => {},
    );
  };

  const idle = () =>
    new Promise<void>((resolve) => {
      idleWaiters.push(resolve);
      queueMicrotask(settleIdle);
    });

  return {
    add,
    addAfter,
    forget(key) {
      cancelDelayed(key);
      dirty.delete(key);
    },
    idle,
    async close() {
      closed = true;
      dirty.clear();
      for (const key of [...delayed.keys()]) cancelDelayed(key);
      await idle();
    },
  };
}
