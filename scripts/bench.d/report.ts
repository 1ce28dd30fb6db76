/** The figures as a table for people and as JSON for programs. */
import { isMissing, type Result } from "./figures.ts";
import type { Unit } from "./group.ts";
import { type Machine, textOfMachine } from "./machine.ts";

export interface Report {
  readonly machine: Machine;
  readonly conditions: readonly string[];
  readonly results: readonly Result[];
}

/** Ends the keys of a row's values. */
const endings: Readonly<Record<Unit, string>> = {
  ms: "_ms",
  "MiB/s": "_mib_per_s",
  MiB: "_mib",
  "%": "_percent",
  count: "",
};

export function jsonOf({ machine, conditions, results }: Report): string {
  const rows = results.map((result) => [result.row.name, jsonRow(result)]);
  return `${JSON.stringify({ machine, conditions, results: Object.fromEntries(rows) }, null, 2)}\n`;
}

function jsonRow(result: Result): object {
  if (isMissing(result)) return { missing: result.missing };
  const { row, n, p50, p95, best, ratio, failures } = result;
  const ending = endings[row.unit];
  return {
    [`p50${ending}`]: rounded(p50),
    [`p95${ending}`]: rounded(p95),
    [`best${ending}`]: rounded(best),
    n,
    failures,
    ...(ratio === undefined ? {} : { ratio: rounded(ratio), peer: row.peer }),
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

export function textOf({ machine, conditions, results }: Report): string {
  const head = ["ROW", "UNIT", "N", "P50", "P95", "BEST", "RATIO"];
  const lines = results.map((result) => {
    const { name, unit } = result.row;
    if (isMissing(result)) return [name, unit, "-", `missing: ${result.missing}`];
    const { n, p50, p95, best, ratio, failures } = result;
    const count = failures === 0 ? String(n) : `${n}, ${failures} failed`;
    const compared = ratio === undefined ? "-" : `${ratio.toFixed(2)} x ${result.row.peer}`;
    return [name, unit, count, digits(p50), digits(p95), digits(best), compared];
  });
  // What says why a row is missing may be longer than any column.
  const measured = lines.filter((line) => line.length === head.length);
  const widths = head.map((title, column) => {
    const cells = (column < 3 ? lines : measured).map((line) => line[column] ?? "");
    return Math.max(title.length, ...cells.map((cell) => cell.length));
  });
  const table = [head, ...lines].map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${[...table, "", textOfMachine(machine), ...conditions].join("\n")}\n`;
}

function digits(value: number): string {
  return Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}
