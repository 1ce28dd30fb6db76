/** Work that waits until nothing has happened for a while: what is on somebody's way goes first. */
export interface Activity {
  /** Nothing is quiet while this work is under way. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** `work` is begun `quietMs` after the last `touch`, or after the end of what was under way then. */
  whenQuiet(quietMs: number, work: () => void): WhenQuiet;
}

export interface WhenQuiet {
  /** Something happens: the time begins anew. */
  touch(): void;
  /** The work is not begun any more. Idempotent. */
  close(): void;
}

/** Keeps no process alive. */
export function createActivity(): Activity {
  const waiting = new Set<{ begin(): void; end(): void }>();
  let underWay = 0;
  return {
    async during(work) {
      underWay += 1;
      for (const one of waiting) one.begin();
      try {
        return await work();
      } finally {
        underWay -= 1;
        if (underWay === 0) for (const one of waiting) one.end();
      }
    },
    whenQuiet(quietMs, work) {
      let timer: NodeJS.Timeout | undefined;
      let isWanted = false;
      const start = () => {
        clearTimeout(timer);
        if (!isWanted || underWay > 0) return;
        timer = setTimeout(() => {
          isWanted = false;
          work();
        }, quietMs);
        timer.unref();
      };
      const entry = { begin: () => clearTimeout(timer), end: start };
      waiting.add(entry);
      return {
        touch() {
          isWanted = waiting.has(entry);
          start();
        },
        close() {
          waiting.delete(entry);
          isWanted = false;
          clearTimeout(timer);
        },
      };
    },
  };
}
