/** Waits for a condition by asking, never by a fixed sleep; the failure says what was seen last. */
export interface WaitOptions {
  /** What is waited for, for the error. */
  readonly what: string;
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
  /** Called for the error's text. */
  readonly describe?: () => unknown | Promise<unknown>;
}

/** The first value that is neither undefined nor false. */
export async function waitUntil<T>(
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  const deadlineMs = Date.now() + (options.timeoutMs ?? 60_000);
  let lastError: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (Date.now() > deadlineMs) {
      const seen = await options.describe?.();
      throw new Error(
        `timed out waiting for ${options.what}${seen === undefined ? "" : `; last seen: ${String(seen)}`}`,
        { cause: lastError },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, options.intervalMs ?? 200));
  }
}
