/**
 * When the steps of a start were reached. Every process keeps the steps it sees itself, with its other
 * records; who wants the whole merges them by time.
 */

export interface TimelineStep {
  readonly step: string;
  /** Which one, where a step is taken for several things: a container's name. */
  readonly about?: string;
  /** Unix epoch, with fractions of a millisecond. */
  readonly atMs: number;
}

export interface TimedStep extends TimelineStep {
  readonly sinceFirstMs: number;
  readonly sinceBeforeMs: number;
}

export function stepNow(step: string, about?: string): TimelineStep {
  return { step, ...(about === undefined ? {} : { about }), atMs: wallClockMs() };
}

let originMs = Date.now() - performance.now();

/**
 * Date.now() with fractions, however long the process lives: clocks that count from a process's start
 * drift apart, and steps of several processes are to be compared.
 */
export function wallClockMs(): number {
  const beforeMs = performance.now();
  const wholeMs = Date.now();
  const afterMs = performance.now();
  // Date.now() is cut to whole milliseconds: less than it, or more than one above it, is wrong.
  if (originMs + afterMs < wholeMs) originMs = wholeMs - afterMs;
  if (originMs + beforeMs > wholeMs + 1) originMs = wholeMs + 1 - beforeMs;
  return originMs + afterMs;
}

/** Oldest first, with the time since the first step and since the one before. */
export function mergeTimelines(
  ...timelines: ReadonlyArray<readonly TimelineStep[]>
): readonly TimedStep[] {
  const steps = timelines.flat().sort((a, b) => a.atMs - b.atMs);
  const firstMs = steps[0]?.atMs ?? 0;
  return steps.map((step, index) => ({
    ...step,
    sinceFirstMs: micros(step.atMs - firstMs),
    sinceBeforeMs: micros(step.atMs - (steps[index - 1]?.atMs ?? step.atMs)),
  }));
}

/** More digits than the clock has would only look exact. */
function micros(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000;
}
