/** `katasim down`: stops everything of the instance; with --delete forgets it. Idempotent. */
import type { Command } from "commander";
import { systemClock } from "../../common/clock.ts";
import { silentLogger } from "../../common/log.ts";
import { isAlive, type ProcessIdentity } from "../../common/process/process-identity.ts";
import type { CommandContext } from "../context.ts";
import { readPidFile } from "../daemon/pid-file.ts";
import { parseDurationMs } from "../duration.ts";
import { cliError } from "../errors.ts";
import { removeKubeconfigEntry } from "../kubeconfig/file.ts";
import { cliObject, formatObject } from "../output/objects.ts";
import type { Bind } from "../program.ts";
import { readRememberedSettings, resolveSettings } from "../settings.ts";
import { contextName, readAdminEntry } from "./kubeconfig.ts";

interface DownOptions {
  readonly delete?: boolean;
  readonly force?: boolean;
  readonly grace: string;
  readonly kubeconfig?: string;
}

/** The API server drains its requests and the agent its workers: seconds, unless something hangs. */
const daemonGraceMs = 10_000;
const pollMs = 20;

export function addDown(program: Command, bind: Bind): void {
  const command = program
    .command("down")
    .description("stop the node and every pod; objects are kept for the next up")
    .option("--delete", "forget the cluster: its state and kubeconfig entries, not the image cache")
    .option("--grace <duration>", "time between SIGTERM and SIGKILL for pods", "5s")
    .option("--force", "kill at once")
    .option("--kubeconfig <file>", "with --delete: the kubeconfig to take the entries out of")
    .option("-o, --output <format>", "table, json or yaml");
  bind(command, async (context) => {
    const options = command.opts<DownOptions>();
    const graceMs = options.force ? 0 : parseDurationMs(options.grace, "--grace");
    const { paths, progress } = context;
    const owner = await readPidFile(paths.pidFile);
    try {
      if (owner !== undefined) {
        progress.step("agent", `Stopping the node agent and the API (pid ${owner.pid})`);
        await stopDaemon(owner, options.force ?? false);
      }
      progress.step("pods", owner === undefined ? "Looking for what is left" : "Stopping pods");
      const { sweepInstance, deleteState } = await import("../teardown/sweep.ts");
      const settings = resolveSettings({}, context.env, await readRememberedSettings(paths));
      const swept = await sweepInstance({ paths, settings, graceMs, log: silentLogger });
      if (options.delete) {
        progress.step("state", "Deleting the cluster's state");
        await forget(context, options, deleteState);
      }
      progress.done();
      report(context, { ...swept, daemon: owner?.pid, deleted: options.delete ?? false });
      return 0;
    } catch (error) {
      progress.fail();
      throw error;
    }
  });
}

async function stopDaemon(owner: ProcessIdentity, force: boolean): Promise<void> {
  signal(owner, force ? "SIGKILL" : "SIGTERM");
  if (await gone(owner, daemonGraceMs)) return;
  signal(owner, "SIGKILL");
  if (await gone(owner, daemonGraceMs)) return;
  throw cliError("STOP_FAILED", `the daemon (pid ${owner.pid}) does not end, even by SIGKILL`, {
    hint: "a process in state D waits for the kernel: look at its disk",
  });
}

function signal(owner: ProcessIdentity, name: "SIGTERM" | "SIGKILL"): void {
  try {
    if (isAlive(owner)) process.kill(owner.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return;
    throw cliError("STOP_FAILED", `may not stop the daemon (pid ${owner.pid})`, {
      cause: error,
      hint: "run katasim down as the user who ran katasim up",
    });
  }
}

async function gone(owner: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadlineMs = systemClock.nowMs() + timeoutMs;
  while (isAlive(owner)) {
    if (systemClock.nowMs() > deadlineMs) return false;
    await systemClock.sleep(pollMs);
  }
  return true;
}

async function forget(
  context: CommandContext,
  options: DownOptions,
  deleteState: (paths: CommandContext["paths"]) => Promise<void>,
): Promise<void> {
  const name = contextName(context.paths.name);
  const own = await readAdminEntry(context).catch(() => undefined);
  // Without credentials of its own an instance never wrote an entry: one of that name is another home's.
  if (own !== undefined) {
    const target = { flag: options.kubeconfig, env: context.env };
    await removeKubeconfigEntry(target, name, own.certificateAuthorityData);
  }
  await deleteState(context.paths);
}

function report(
  context: CommandContext,
  result: {
    readonly stopped: number;
    readonly strays: number;
    readonly daemon: number | undefined;
    readonly deleted: boolean;
  },
): void {
  const { name } = context.paths;
  if (context.output === "json" || context.output === "yaml") {
    context.print(formatObject(cliObject("Down", { name, ...result }), context.output));
    return;
  }
  const idle = result.daemon === undefined && result.stopped === 0 && result.strays === 0;
  const pods = result.stopped === 1 ? "1 pod" : `${result.stopped} pods`;
  context.say(
    idle ? `katasim "${name}" was not running` : `katasim "${name}" is down (${pods} stopped)`,
  );
  if (result.deleted) context.say("its state and kubeconfig entries are deleted");
}
