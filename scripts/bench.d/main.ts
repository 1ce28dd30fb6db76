/** The bench: takes the wanted rows' groups one after the other, their sides in turns. */
import { closeSync, openSync, writeFileSync } from "node:fs";
import { messageOf } from "../../common/errors.ts";
import { type Command, helpText, listText, parseCommand } from "./command.ts";
import { type Measured, type Result, resultsOf } from "./figures.ts";
import { type Group, NotHere, type OpenGroup, type Side } from "./group.ts";
import { groups } from "./groups.ts";
import { readMachine, untilQuiet } from "./machine.ts";
import { jsonOf, textOf } from "./report.ts";

/** Answers the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let command: Command;
  try {
    command = parseCommand(args);
    if (command.json !== undefined) assertWritable(command.json);
  } catch (error) {
    say(`error: ${messageOf(error)}\n  try: scripts/bench --help`);
    return 2;
  }
  if (command.help || command.list) {
    process.stdout.write(command.help ? helpText : listText());
    return 0;
  }
  const interrupted = new AbortController();
  // Once: a second Ctrl-C ends the clean-up, too.
  process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));
  process.once("SIGTERM", () => interrupted.abort(new Error("interrupted")));
  const machine = readMachine();
  const results: Result[] = [];
  const conditions: string[] = [];
  let failed = false;
  for (const group of groups.filter(({ rows }) => rows.some(isWanted(command)))) {
    const outcome = await measure(group, command, interrupted.signal);
    results.push(...resultsOf(outcome.measured));
    conditions.push(...outcome.conditions);
    failed ||= outcome.failed;
  }
  const report = { machine, conditions, results };
  process.stdout.write(textOf(report));
  if (command.json !== undefined) writeFileSync(command.json, jsonOf(report));
  if (interrupted.signal.aborted) return 130;
  return failed ? 1 : 0;
}

/** Minutes later would be too late to say so. */
function assertWritable(file: string): void {
  closeSync(openSync(file, "a"));
}

const isWanted =
  ({ wanted }: Command) =>
  ({ name }: { readonly name: string }) =>
    wanted.has(name);

interface Outcome {
  readonly measured: readonly Measured[];
  readonly conditions: readonly string[];
  readonly failed: boolean;
}

async function measure(group: Group, command: Command, signal: AbortSignal): Promise<Outcome> {
  const rows = group.rows.filter(isWanted(command));
  const allMissing = (missing: string, failed: boolean): Outcome => ({
    measured: rows.map((row) => ({ row, samples: [], failures: 0, missing })),
    conditions: [],
    failed,
  });
  if (signal.aborted) return allMissing("interrupted", false);
  say(` • ${group.name}: preparing`);
  let scene: OpenGroup;
  try {
    scene = await group.open({ wanted: new Set(rows.map(({ name }) => name)), signal });
  } catch (error) {
    return allMissing(messageOf(error), isFailure(error, group.name, signal));
  }
  let left: readonly string[] = [];
  const tally = createTally();
  let conditions: readonly string[] = [];
  try {
    await takeTurns(group, scene, command, signal, tally);
    conditions = scene.conditions().map((line) => `${group.name}: ${line}`);
  } finally {
    left = await scene.close();
  }
  for (const line of left) say(`left behind: ${line}`);
  const failures = new Set(
    [...scene.missing.values()].filter((error) => isFailure(error, group.name, signal)),
  );
  return {
    measured: rows.map((row) => ({
      row,
      samples: tally.samples.get(row.name) ?? [],
      failures: tally.failures.get(row.name) ?? 0,
      missing: whyMissing(scene, row.name, signal),
    })),
    conditions,
    failed: left.length > 0 || failures.size > 0 || tally.failures.size > 0,
  };
}

function whyMissing(scene: OpenGroup, row: string, signal: AbortSignal): string | undefined {
  if (signal.aborted) return "interrupted";
  return scene.missing.has(row) ? messageOf(scene.missing.get(row)) : undefined;
}

/** Says so. What is not installed is none, nor is what Ctrl-C broke off. */
function isFailure(error: unknown, group: string, signal: AbortSignal): boolean {
  if (error instanceof NotHere || signal.aborted) return false;
  say(`error: cannot measure ${group}: ${messageOf(error)}`);
  return true;
}

interface Tally {
  readonly samples: Map<string, number[]>;
  readonly failures: Map<string, number>;
}

function createTally(): Tally {
  return { samples: new Map(), failures: new Map() };
}

async function takeTurns(
  group: Group,
  scene: OpenGroup,
  command: Command,
  signal: AbortSignal,
  tally: Tally,
): Promise<void> {
  const passes = group.passes === "once" ? 1 : (command.passes ?? group.passes);
  const sides = scene.sides.filter(({ rows }) => rows.some((row) => command.wanted.has(row)));
  for (let pass = 1; pass <= passes; pass += 1) {
    for (const side of sides) {
      if (signal.aborted) return;
      say(` • ${group.name}: pass ${pass} of ${passes}: ${side.name}`);
      await untilQuiet(signal);
      await takeTurn(side, signal, tally);
    }
  }
}

async function takeTurn(side: Side, signal: AbortSignal, tally: Tally): Promise<void> {
  try {
    for (const [row, values] of await side.pass()) {
      tally.samples.set(row, [...(tally.samples.get(row) ?? []), ...values]);
    }
  } catch (error) {
    if (signal.aborted) return;
    say(`error: ${side.name}: ${messageOf(error)}`);
    for (const row of side.rows) tally.failures.set(row, (tally.failures.get(row) ?? 0) + 1);
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
