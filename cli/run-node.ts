/**
 * One life of the node in this process: claim the instance, start every part, wait for Ready, run until a
 * signal or a failure, stop in reverse. The same for the foreground and for the daemon.
 */
import { mkdir, readdir } from "node:fs/promises";
import { createLogger, type Logger } from "../common/log.ts";
import type { Paths } from "../common/paths.ts";
import { type RunningNode, startNode } from "./compose.ts";
import { daemonLogFile } from "./daemon/detach.ts";
import { claimPidFile, isClaim } from "./daemon/pid-file.ts";
import { cliError } from "./errors.ts";
import { type Interrupts, interruptSignal } from "./interrupts.ts";
import { waitForNode } from "./node-status.ts";
import type { Progress } from "./output/progress.ts";
import type { NodeSettings } from "./settings.ts";
import type { NodeSummary } from "./summary.ts";

export interface RunNodeOptions {
  readonly paths: Paths;
  readonly settings: NodeSettings;
  readonly waitMs: number;
  readonly progress: Progress;
  readonly verbosity: number;
  /** Keeps what a failed start leaves. */
  readonly retain: boolean;
  /** True in the foreground: Ctrl-C stops pods too. The daemon leaves them to `down`, like a kubelet. */
  readonly stopsPods: boolean;
  readonly onReady: (summary: NodeSummary) => Promise<void>;
}

/** What pods get between SIGTERM and SIGKILL when the foreground node is interrupted. */
const interruptGraceMs = 5_000;

/** Answers 128 + signal after a signal. Throws what made the start or the run fail. */
export async function runNode(options: RunNodeOptions): Promise<number> {
  const interrupts = interruptSignal();
  try {
    // The second Ctrl-C: whatever still runs is found by the next `up` or `down`.
    return await Promise.race([live(options, interrupts), forced(interrupts)]);
  } finally {
    interrupts.dispose();
  }
}

async function live(options: RunNodeOptions, interrupts: Interrupts): Promise<number> {
  const { paths, progress } = options;
  for (const folder of [paths.state, paths.run, paths.logs, paths.sandboxes, paths.sockets]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  const claim = await claimPidFile(paths.pidFile);
  if (!isClaim(claim)) {
    throw cliError("ALREADY_RUNNING", `katasim "${paths.name}" is run by pid ${claim.pid}`, {
      hint: "katasim status",
    });
  }
  const log = createLogger({
    level: options.verbosity > 0 ? "debug" : "info",
    file: daemonLogFile(paths),
  });
  const crashed = crashGuard(log);
  let ready = false;
  try {
    const node = await startNode({ ...options, log });
    try {
      await Promise.race([becomeReady(node, options, interrupts), node.failed, crashed]);
      ready = true;
      await Promise.race([aborted(interrupts.signal), node.failed, crashed]);
    } finally {
      progress.step("stop", "Stopping the node agent and the API");
      await node.stop();
    }
    return interrupts.exitCode() ?? 0;
  } catch (error) {
    const exitCode = interrupts.exitCode();
    if (exitCode !== undefined) return exitCode;
    log.fatal({ err: error }, "the node ended");
    throw error;
  } finally {
    await cleanUp(options, log, ready);
    await claim.release();
  }
}

function forced({ force, exitCode }: Interrupts): Promise<number> {
  return new Promise((resolve) =>
    force.addEventListener("abort", () => resolve(exitCode() ?? 130), { once: true }),
  );
}

async function becomeReady(
  node: RunningNode,
  { settings, waitMs, progress, paths, onReady }: RunNodeOptions,
  interrupts: Interrupts,
): Promise<void> {
  progress.step("ready", "Waiting for the node to be Ready");
  // An earlier life's Ready condition is still in the store: it must be this agent's.
  await Promise.race([node.registered, aborted(interrupts.signal)]);
  await waitForNode(node.cluster, {
    nodeName: settings.nodeName,
    timeoutMs: waitMs,
    signal: interrupts.signal,
  });
  progress.done();
  await onReady({
    name: paths.name,
    nodeName: settings.nodeName,
    server: node.server,
    pid: process.pid,
    // Counted from the start of this process: what the person waited for.
    readyMs: Math.round(performance.now()),
    network: { kind: settings.network, ...node.network },
    handlers: await node.handlers,
  });
}

/**
 * Pods end with a foreground node; they outlive the daemon. A start that failed leaves nothing, but
 * never ends the pods of an earlier life.
 */
async function cleanUp(options: RunNodeOptions, log: Logger, ready: boolean): Promise<void> {
  const { paths, settings, progress } = options;
  const pods = await readdir(paths.sandboxes).catch(() => []);
  const sweeps = ready ? options.stopsPods : !options.retain && pods.length === 0;
  if (!sweeps) return;
  if (pods.length > 0) progress.step("pods", "Stopping pods");
  const { sweepInstance } = await import("./teardown/sweep.ts");
  await sweepInstance({ paths, settings, graceMs: interruptGraceMs, log });
  progress.done();
}

/** A bug anywhere in the process ends the node in order; pods of a daemon go on. */
function crashGuard(log: Logger): Promise<never> {
  const crashed = new Promise<never>((_, reject) => {
    for (const event of ["uncaughtException", "unhandledRejection"] as const) {
      process.on(event, (error: unknown) => {
        log.fatal({ err: error }, event);
        reject(error);
      });
    }
  });
  // Nobody may be listening at that moment: that must not become an unhandled rejection again.
  crashed.catch(() => {});
  return crashed;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
