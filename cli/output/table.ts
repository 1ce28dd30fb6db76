/** kubectl-style tables: upper-case heads, columns three spaces apart, no borders, no trailing blanks. */

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => string | number | undefined;
  /** Shown with `-o wide` only. */
  readonly wide?: boolean;
}

export interface TableOptions {
  readonly wide?: boolean;
  readonly headers?: boolean;
}

/** The table with a final newline; cells that are absent or empty print `<none>`, as kubectl does. */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: TableOptions = {},
): string {
  const shown = columns.filter((column) => options.wide || !column.wide);
  const lines = rows.map((row) =>
    shown.map((column) => {
      const value = column.cell(row);
      // A control character in a cell could move the cursor: pods choose some of these texts.
      const text = String(value ?? "").replace(/\p{Cc}+/gu, " ");
      return text === "" ? "<none>" : text;
    }),
  );
  if (options.headers !== false) lines.unshift(shown.map((column) => column.head));
  const widths = shown.map((_, index) =>
    Math.max(0, ...lines.map((line) => (line[index] ?? "").length)),
  );
  return lines
    .map((line) => line.map((cell, index) => cell.padEnd((widths[index] ?? 0) + 3)).join(""))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/** kubectl's short ages (apimachinery util/duration HumanDuration): 45s, 3m20s, 5h, 2d4h. */
export function humanDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return pair(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return pair(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  if (days < 8) return pair(days, "d", hours % 24, "h");
  return `${days}d`;
}

function pair(first: number, firstUnit: string, second: number, secondUnit: string): string {
  return second === 0 ? `${first}${firstUnit}` : `${first}${firstUnit}${second}${secondUnit}`;
}
