/** From samples to figures and a table. */
import type { Row } from "./group.ts";

export interface Figure {
  readonly n: number;
  /** The least time or the greatest throughput. */
  readonly best: number;
  readonly median: number;
}

export interface RowFigures {
  readonly row: Row;
  /** In the order of the group's sides. */
  readonly sides: ReadonlyMap<string, Figure>;
  /** Median of the last side, in medians of the first. */
  readonly ratio: number | undefined;
}

export function figuresOf(row: Row, samples: ReadonlyMap<string, readonly number[]>): RowFigures {
  const sides = new Map(
    [...samples].map(([side, values]) => {
      const sorted = [...values].sort((a, b) => a - b);
      const best = (row.unit === "ms" ? sorted[0] : sorted.at(-1)) ?? Number.NaN;
      return [side, { n: values.length, best, median: medianOf(sorted) }] as const;
    }),
  );
  const [first, ...others] = [...sides.values()];
  const last = others.at(-1);
  return { row, sides, ratio: first && last && last.median / first.median };
}

function medianOf(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2;
}

export function tableOf(all: readonly RowFigures[]): string {
  const names = [...new Set(all.flatMap(({ sides }) => [...sides.keys()]))];
  const head = [
    "ROW",
    "UNIT",
    "N",
    ...names.map((side) => `${side.toUpperCase()} BEST/MEDIAN`),
    "RATIO",
  ];
  const lines = all.map(({ row, sides, ratio }) => [
    row.name,
    row.unit,
    [...new Set([...sides.values()].map(({ n }) => n))].join("/"),
    ...names.map((side) => {
      const figure = sides.get(side);
      return figure === undefined ? "-" : `${digits(figure.best)} / ${digits(figure.median)}`;
    }),
    ratio === undefined ? "-" : ratio.toFixed(2),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => (line[column] ?? "").length)),
  );
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}
