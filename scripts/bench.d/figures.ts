/** From samples to figures. */
import type { Row, Unit } from "./group.ts";

export interface Figures {
  readonly row: Row;
  readonly n: number;
  readonly p50: number;
  /** 95 of 100 samples were at least as good: a high time, a low throughput. */
  readonly p95: number;
  readonly best: number;
  /** This median in medians of the peer. */
  readonly ratio: number | undefined;
  /** Turns that ended in an error. */
  readonly failures: number;
}

export interface Missing {
  readonly row: Row;
  /** Why there are no figures. */
  readonly missing: string;
}

export type Result = Figures | Missing;

export function isMissing(result: Result): result is Missing {
  return "missing" in result;
}

export interface Measured {
  readonly row: Row;
  readonly samples: readonly number[];
  readonly failures: number;
  readonly missing: string | undefined;
}

export function resultsOf(measured: readonly Measured[]): readonly Result[] {
  const medians = new Map(
    measured
      .filter(({ samples }) => samples.length > 0)
      .map(({ row, samples }) => [row.name, quantile(ascending(samples), 0.5)]),
  );
  return measured.map(({ row, samples, failures, missing }) => {
    if (samples.length === 0) return { row, missing: missing ?? noSamples(failures) };
    const sorted = ascending(samples);
    if (moreIsBetter(row.unit)) sorted.reverse();
    const p50 = quantile(sorted, 0.5);
    const peer = row.peer === undefined ? undefined : medians.get(row.peer);
    return {
      row,
      n: samples.length,
      p50,
      p95: quantile(sorted, 0.95),
      best: quantile(sorted, 0),
      ratio: peer === undefined || peer === 0 ? undefined : p50 / peer,
      failures,
    };
  });
}

function noSamples(failures: number): string {
  return failures === 0 ? "the run ended before its turn" : `all ${failures} turns failed`;
}

function moreIsBetter(unit: Unit): boolean {
  return unit === "MiB/s";
}

function ascending(samples: readonly number[]): number[] {
  return [...samples].sort((a, b) => a - b);
}

/** Between the two nearest samples, as numpy and R do by default. */
function quantile(sorted: readonly number[], part: number): number {
  const place = (sorted.length - 1) * part;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}
