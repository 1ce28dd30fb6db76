/**
 * Leaves nothing of an instance but its state folder: pods through the runtime first, then whatever the
 * kernel still lists under its folders. Idempotent, and works without a daemon and after any crash.
 */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { systemClock } from "../../common/clock.ts";
import { isSimError, messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { Paths } from "../../common/paths.ts";
import { sweepEngine } from "../../simulator/docker/index.ts";
import { openNodeNetwork, openNodeRuntime } from "../compose.ts";
import { cliError } from "../errors.ts";
import type { NodeSettings } from "../settings.ts";
import { mountsUnder, processesUnder } from "./leftovers.ts";
import { stopPods } from "./stop-pods.ts";

export interface SweepOptions {
  readonly paths: Paths;
  readonly settings: NodeSettings;
  readonly graceMs: number;
  readonly log: Logger;
}

export interface SweepResult {
  readonly stopped: number;
  /** Processes that no record knew. */
  readonly strays: number;
}

/** Killed processes need a moment to be collected; more than this means one is stuck in the kernel. */
const killWaitMs = 5_000;
const killPollMs = 50;

/** Throws STOP_FAILED naming what would not go. */
export async function sweepInstance(options: SweepOptions): Promise<SweepResult> {
  const { paths, log } = options;
  const problems: string[] = [];
  let stopped = 0;
  try {
    stopped = await stopRecordedPods(options, problems);
  } catch (error) {
    // Broken records: the kernel's lists below still find everything.
    if (!isSimError(error)) log.error({ err: error }, "the runtime's records cannot be used");
    problems.push(messageOf(error));
  }
  // What no record knows goes by its label; an engine that is away cannot be cleaned, and is told of.
  const inEngine = await sweepEngine(paths).then(
    () => [],
    (error: unknown) => [withHint(error)],
  );
  const strays = await killStrays(paths);
  await unmountAll([paths.run, paths.pods]);
  await openNodeNetwork(options)
    .destroy()
    .catch((error: unknown) => problems.push(messageOf(error)));
  const left = [
    ...processesUnder(paths.run).map(({ pid, command }) => `process ${pid}: ${command}`),
    ...mountsUnder([paths.run, paths.pods]).map((point) => `mount ${point}`),
    ...inEngine,
  ];
  if (left.length > 0) {
    throw cliError("STOP_FAILED", `could not stop everything of instance "${paths.name}"`, {
      cause: new Error([...left, ...problems].join("; ")),
      hint: "run katasim down --force again; a process in state D waits for the kernel",
    });
  }
  // What the runtime complained about is gone by now: worth a line in the log, not a failure.
  for (const problem of problems) log.warn({ problem }, "trouble while stopping");
  await removeRunFolder(paths);
  return { stopped, strays };
}

function withHint(error: unknown): string {
  const hint = isSimError(error) && error.hint !== undefined ? ` (${error.hint})` : "";
  return `${messageOf(error)}${hint}`;
}

async function stopRecordedPods(options: SweepOptions, problems: string[]): Promise<number> {
  // An instance that was never started has no records, and must not get a database by being stopped.
  if (!existsSync(options.paths.database)) return 0;
  const { runtime, close } = await openNodeRuntime(options);
  try {
    await runtime.recover();
    const { stopped, failures } = await stopPods(runtime, options.graceMs);
    problems.push(...failures);
    return stopped;
  } finally {
    await close();
  }
}

async function killStrays(paths: Paths): Promise<number> {
  const first = processesUnder(paths.run);
  for (const { pid } of first) kill(pid);
  const deadlineMs = systemClock.nowMs() + killWaitMs;
  while (processesUnder(paths.run).length > 0 && systemClock.nowMs() < deadlineMs) {
    await systemClock.sleep(killPollMs);
  }
  return first.length;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

async function unmountAll(folders: readonly string[]): Promise<void> {
  const { runCommand } = await import("../../simulator/command.ts");
  for (const point of mountsUnder(folders)) {
    const plain = await runCommand("umount", [point]);
    // Busy through a process outside our list: detach it, so that no file of it is ever deleted.
    if (!plain.ok) await runCommand("umount", ["-l", point]);
  }
}

/** The run folder goes only when no mount is left in it: a delete must never reach through one. */
async function removeRunFolder(paths: Paths): Promise<void> {
  await rm(paths.run, { recursive: true, force: true });
  await removeIfEmpty(dirname(paths.run));
}

/** Removes the state folder, and the folders above it that only held this instance. */
export async function deleteState(paths: Paths): Promise<void> {
  const mounted = mountsUnder([paths.state]);
  if (mounted.length > 0) {
    throw cliError("STOP_FAILED", `${mounted[0]} is still mounted: nothing was deleted`, {
      hint: `umount ${mounted[0]}, then katasim down --delete again`,
    });
  }
  await rm(paths.state, { recursive: true, force: true });
  await removeIfEmpty(dirname(paths.state));
}

/** The folder that holds instances goes with the last of them. */
async function removeIfEmpty(folder: string): Promise<void> {
  const entries = await readdir(folder).catch(() => undefined);
  if (entries?.length === 0) await rm(folder, { recursive: true, force: true });
}
