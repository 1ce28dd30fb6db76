/** The bench: takes the wanted rows' groups one after the other, their sides in turns. */
import { cpus, loadavg, release } from "node:os";
import { parseArgs } from "node:util";
import { containerdGroup } from "./containerd.ts";
import { figuresOf, type RowFigures, tableOf } from "./figures.ts";
import type { Group, Row } from "./group.ts";

const groups: readonly Group[] = [containerdGroup];
const defaultPasses = 5;

interface Command {
  readonly passes: number;
  readonly json: boolean;
  readonly list: boolean;
  readonly wanted: ReadonlySet<string>;
}

/** Answers the exit code: 1 when something was left or could not be measured, 2 for a wrong call. */
export async function main(args: readonly string[]): Promise<number> {
  let command: Command;
  try {
    command = parse(args);
  } catch (error) {
    process.stderr.write(`error: ${(error as Error).message}\n  try: scripts/bench -l\n`);
    return 2;
  }
  if (command.list) {
    for (const { name, unit, what } of groups.flatMap(({ rows }) => rows)) {
      process.stdout.write(`${name.padEnd(18)} ${unit.padEnd(6)} ${what}\n`);
    }
    return 0;
  }
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  process.once("SIGTERM", () => interrupted.abort());
  const loadBefore = loadavg();
  const results: RowFigures[] = [];
  const conditions: string[] = [];
  let code = 0;
  for (const group of groups.filter((candidate) => wantedRows(candidate, command).length > 0)) {
    try {
      const outcome = await measure(group, command, interrupted.signal);
      results.push(...outcome.figures);
      conditions.push(outcome.conditions);
      for (const line of outcome.left) process.stderr.write(`left behind: ${line}\n`);
      if (outcome.left.length > 0) code = 1;
    } catch (error) {
      process.stderr.write(`error: cannot measure: ${(error as Error).message}\n`);
      code = 1;
    }
  }
  const machine = { cpus: cpus().length, kernel: release(), loadBefore, loadAfter: loadavg() };
  process.stdout.write(
    command.json ? json(machine, conditions, results) : text(machine, conditions, results),
  );
  return interrupted.signal.aborted ? 130 : code;
}

function parse(args: readonly string[]): Command {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      passes: { type: "string", short: "n" },
      output: { type: "string", short: "o" },
      list: { type: "boolean", short: "l" },
    },
  });
  const passes = Number(values.passes ?? defaultPasses);
  if (!Number.isInteger(passes) || passes < 1) throw new Error("-n takes a whole number from 1 up");
  if (values.output !== undefined && values.output !== "json") {
    throw new Error(`-o takes json, not ${JSON.stringify(values.output)}`);
  }
  const known = groups.flatMap(({ rows }) => rows.map(({ name }) => name));
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`there is no row ${JSON.stringify(unknown)}`);
  return {
    passes,
    json: values.output === "json",
    list: values.list === true,
    wanted: new Set(positionals.length === 0 ? known : positionals),
  };
}

function wantedRows({ rows }: Group, { wanted }: Command): readonly Row[] {
  return rows.filter(({ name }) => wanted.has(name));
}

async function measure(group: Group, command: Command, signal: AbortSignal) {
  const rows = wantedRows(group, command);
  const samples = new Map(
    rows.map(({ name }) => [name, new Map(group.sides.map((side) => [side, [] as number[]]))]),
  );
  const scene = await group.open();
  let left: readonly string[] = [];
  try {
    for (let pass = 0; pass < command.passes; pass += 1) {
      for (const side of group.sides) {
        if (signal.aborted) break;
        process.stderr.write(` • pass ${pass + 1} of ${command.passes}: ${side}\n`);
        for (const [name, values] of await scene.pass(side, command.wanted)) {
          samples
            .get(name)
            ?.get(side)
            ?.push(...values);
        }
      }
    }
  } finally {
    left = await scene.close();
  }
  const figures = rows.map((row) => figuresOf(row, samples.get(row.name) ?? new Map()));
  return { figures, conditions: scene.conditions(), left };
}

interface Machine {
  readonly cpus: number;
  readonly kernel: string;
  readonly loadBefore: readonly number[];
  readonly loadAfter: readonly number[];
}

function text(machine: Machine, conditions: readonly string[], results: readonly RowFigures[]) {
  const load = (figures: readonly number[]) => figures.map((figure) => figure.toFixed(1)).join(" ");
  return [
    tableOf(results),
    "",
    `${machine.cpus} CPUs, Linux ${machine.kernel}; load ${load(machine.loadBefore)} before, ${load(machine.loadAfter)} after`,
    ...conditions,
    "",
  ].join("\n");
}

function json(machine: Machine, conditions: readonly string[], results: readonly RowFigures[]) {
  const rows = results.map(({ row, sides, ratio }) => ({
    ...row,
    sides: Object.fromEntries(sides),
    ...(ratio === undefined ? {} : { ratio }),
  }));
  return `${JSON.stringify({ machine, conditions, rows }, null, 2)}\n`;
}
