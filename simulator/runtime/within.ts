/** Waits with a limit, and leaves no timer behind that would keep the process from ending. */
import type { Clock } from "../../common/clock.ts";

/** True when the work was done in time; rejects when the work does. */
export async function within(
  clock: Clock,
  work: Promise<unknown>,
  limitMs: number,
): Promise<boolean> {
  const controller = new AbortController();
  const limit = clock.sleep(limitMs, controller.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([work.then(() => true), limit]);
  } finally {
    controller.abort();
  }
}
