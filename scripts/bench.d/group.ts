/** CONTRACT between the bench and its rows. To add figures: one file like containerd.ts, one line in main.ts. */

export interface Row {
  readonly name: string;
  readonly unit: "ms" | "MiB/s";
  /** One sentence on what is measured, from where to where. */
  readonly what: string;
}

/** Rows that are measured in the same scene. */
export interface Group {
  readonly rows: readonly Row[];
  /** What is compared, the one to compare with first: they take turns. */
  readonly sides: readonly string[];
  /** Rejects with an Error that says what is missing. Leaves nothing then. */
  open(): Promise<OpenGroup>;
}

export interface OpenGroup {
  /** Facts that the figures depend on, in one line. */
  readonly conditions: () => string;
  /** One pass of one side: a value or more for each wanted row. */
  pass(side: string, wanted: ReadonlySet<string>): Promise<ReadonlyMap<string, readonly number[]>>;
  /** Answers what could not be cleaned up; empty when nothing is left. */
  close(): Promise<readonly string[]>;
}
