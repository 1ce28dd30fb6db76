/** The bench's command line: what is wanted, and the words for --help and --list. */
import { parseArgs } from "node:util";
import type { Group, Row } from "./group.ts";
import { groups } from "./groups.ts";

export interface Command {
  readonly help: boolean;
  readonly list: boolean;
  /** Of groups that repeat; undefined = as many as each is good for. */
  readonly passes: number | undefined;
  /** File for the JSON. */
  readonly json: string | undefined;
  /** Names of rows; peers are among them. */
  readonly wanted: ReadonlySet<string>;
}

const allRows: readonly Row[] = groups.flatMap(({ rows }) => rows);

/** Throws an Error in words for whoever typed it. */
export function parseCommand(args: readonly string[]): Command {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true },
      all: { type: "boolean" },
      passes: { type: "string", short: "n" },
      json: { type: "string" },
      list: { type: "boolean", short: "l" },
      help: { type: "boolean", short: "h" },
    },
  });
  const passes = values.passes === undefined ? undefined : Number(values.passes);
  if (passes !== undefined && (!Number.isInteger(passes) || passes < 1)) {
    throw new Error(`-n takes a whole number from 1 up, not ${JSON.stringify(values.passes)}`);
  }
  if (values.json === "") throw new Error("--json takes the name of a file");
  if (values.only !== undefined && values.all)
    throw new Error("--only and --all exclude each other");
  return {
    help: values.help === true,
    list: values.list === true,
    passes,
    json: values.json,
    wanted: withPeers(chosen(values.only, values.all === true)),
  };
}

function chosen(only: readonly string[] | undefined, all: boolean): readonly Row[] {
  if (only === undefined) return allRows.filter(({ long }) => all || !long);
  return only.flatMap((list) => list.split(",")).flatMap(rowsNamed);
}

/** A group, a row, or what rows' names begin with: `exec` is `exec-trusted` and `exec-sandboxed`. */
function rowsNamed(name: string): readonly Row[] {
  const group = groups.find((candidate) => candidate.name === name);
  if (group !== undefined) return group.rows;
  const row = allRows.find((candidate) => candidate.name === name);
  if (row !== undefined) return [row];
  const family = allRows.filter((candidate) => candidate.name.startsWith(`${name}-`));
  if (family.length === 0) throw new Error(`there is no row or group ${JSON.stringify(name)}`);
  return family;
}

function withPeers(rows: readonly Row[]): ReadonlySet<string> {
  return new Set(rows.flatMap(({ name, peer }) => (peer === undefined ? [name] : [name, peer])));
}

export function listText(): string {
  const width = Math.max(...allRows.map(({ name }) => name.length));
  const line = ({ name, unit, what, long }: Row) =>
    `  ${name.padEnd(width)}  ${unit.padEnd(5)}  ${what}${long ? " (long)" : ""}`;
  return groups.map((group) => `${title(group)}\n${group.rows.map(line).join("\n")}\n`).join("");
}

function title({ name, passes }: Group): string {
  return `${name}, ${passes === "once" ? "once" : `${passes} passes`}:`;
}

export const helpText = `Usage: scripts/bench [--json FILE] [--only NAME]... [--all] [-n PASSES]

Measures katasim beside what it stands in for, in one run: the sides of a group take turns.
Prints medians and spread. Needs root and what scripts/setup installs; takes about ten minutes.

  --json FILE    write machine, conditions and figures to FILE as JSON, too
  --only NAME    this row or group only, or all rows NAME-...; may be repeated, or a list with commas
  --all          with the long rows: 50 pods, 200 cycles
  -n, --passes N passes of each group that repeats (default: what --list says)
  -l, --list     the rows, and what each measures
  -h, --help     this text

P95 is what 95 of 100 samples were at least as good as. RATIO is the median in medians of the row named.
Exit code: 0, 1 when something failed or was left behind, 2 for a wrong call, 130 after Ctrl-C.
`;
