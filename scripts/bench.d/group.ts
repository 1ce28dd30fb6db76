/** CONTRACT between the bench and its rows. To add figures: one file like up.ts, one line in groups.ts. */

export type Unit = "ms" | "MiB/s" | "MiB" | "%" | "count";

export interface Row {
  /** Its key in the JSON, too. */
  readonly name: string;
  readonly unit: Unit;
  /** One sentence on what is measured, from where to where. */
  readonly what: string;
  /** The row of the same group to compare with: measured along with this one. */
  readonly peer?: string;
  /** Takes minutes: only with --all or by name. */
  readonly long?: true;
}

/** What is to be measured is not on this machine: no failure, but a row that says so. */
export class NotHere extends Error {}

/** Rows that are measured in the same scene. */
export interface Group {
  readonly name: string;
  readonly rows: readonly Row[];
  /** How often without -n; "once" whatever -n says, for what is a course of events of its own. */
  readonly passes: number | "once";
  /** Rejects with an Error, NotHere where that is all. Leaves nothing then. */
  open(options: OpenOptions): Promise<OpenGroup>;
}

export interface OpenOptions {
  /** Names of rows; peers are among them. */
  readonly wanted: ReadonlySet<string>;
  /** Ctrl-C: whatever waits rejects. */
  readonly signal: AbortSignal;
}

export interface OpenGroup {
  /** They take turns. */
  readonly sides: readonly Side[];
  /** Rows that cannot be measured, and the error that says why. */
  readonly missing: ReadonlyMap<string, unknown>;
  /** Facts that the figures depend on, a line each; asked before the end. */
  conditions(): readonly string[];
  /** Answers what could not be cleaned up; empty when nothing is left. */
  close(): Promise<readonly string[]>;
}

/** One of those that are compared. */
export interface Side {
  readonly name: string;
  /** Rows it has values for. */
  readonly rows: readonly string[];
  pass(): Promise<Samples>;
}

/** Row → values; rows that nobody asked for may be among them. */
export type Samples = ReadonlyMap<string, readonly number[]>;

/** Twin rows, one of each side: `exec-trusted` and `exec-sandboxed`. The first side is the peer. */
export function twinRows(rows: readonly Row[], sides: readonly [string, string]): readonly Row[] {
  return rows.flatMap((row) =>
    sides.map((side, index) => ({
      ...row,
      name: `${row.name}-${side}`,
      ...(index === 0 ? {} : { peer: `${row.name}-${sides[0]}` }),
    })),
  );
}
