/** Work that waits until nothing has happened for a while: what is on somebody's way goes first. */
export interface WhenQuiet {
  /** Something happens: the time begins anew. */
  touch(): void;
  /** The work is not begun any more. Idempotent. */
  close(): void;
}

/** Keeps no process alive. */
export function whenQuiet(quietMs: number, work: () => void): WhenQuiet {
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  return {
    touch() {
      clearTimeout(timer);
      if (closed) return;
      timer = setTimeout(work, quietMs);
      timer.unref();
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
