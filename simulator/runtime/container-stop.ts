/** Ends containers and deals with their exits, whoever reports them first. */
import { messageOf } from "../../common/errors.ts";
import { readExitReason } from "../../runtime-shim/index.ts";
import { oomKills, podCgroup } from "./cgroups.ts";
import type { RuntimeContext } from "./context.ts";
import { runtimeError } from "./errors.ts";
import { containerLayout, sandboxLayout } from "./layout.ts";
import type { LiveContainer, LiveSandbox } from "./live-state.ts";
import { runShimDelete } from "./shim-binary.ts";
import type { TaskExit } from "./shim-tasks.ts";
import { within } from "./within.ts";

const sigkill = 9;
/** containerd's code for an exit it knows nothing of (core/runtime/v2/shim.go cleanupAfterDeadShim). */
export const unknownExitCode = 255;
// The output of a dead container is copied in moments; a stranger that holds the FIFO open must not
// keep the pod from ending.
const drainTimeoutMs = 5_000;
/** For a container that had ended before we opened its output: what is there can be read at once. */
export const lateDrainTimeoutMs = 200;
// SIGKILL works at once unless the shim hangs or a process sits in uninterruptible sleep.
const killTimeoutMs = 10_000;

/** SIGTERM (or the image's STOPSIGNAL), then SIGKILL; resolves when the exit is recorded. */
export async function stopContainer(
  context: RuntimeContext,
  container: LiveContainer,
  graceMs: number,
): Promise<void> {
  if (container.record.state !== "running") return;
  const { tasks } = context.state.sandboxOf(container);
  const { id, stopSignal } = container.record;
  if (tasks !== undefined && graceMs > 0) {
    try {
      await tasks.kill({ id }, stopSignal);
      if (await within(context.clock, container.exited, graceMs)) return;
    } catch (error) {
      context.log.warn({ container: id, error: messageOf(error) }, "stop signal failed");
    }
  }
  await killContainer(context, container);
}

async function killContainer(context: RuntimeContext, container: LiveContainer): Promise<void> {
  const { id } = container.record;
  const { tasks } = context.state.sandboxOf(container);
  // Without a connection the shim's death is being dealt with, which ends the container too.
  await tasks?.kill({ id }, sigkill, true).catch((error: unknown) => {
    context.log.warn({ container: id, error: messageOf(error) }, "kill failed");
  });
  if (await within(context.clock, container.exited, killTimeoutMs)) return;
  throw runtimeError(
    "CONTAINER_WRONG_STATE",
    `failed to kill container "${id}": it is still there ${killTimeoutMs / 1000} s after SIGKILL`,
  );
}

/** All containers of the sandbox, with or without a living shim. Never rejects. */
export async function killContainers(context: RuntimeContext, sandbox: LiveSandbox): Promise<void> {
  await Promise.all(
    [...sandbox.containers.values()].map(async (container) => {
      if (container.record.state === "running" && sandbox.tasks !== undefined) {
        await killContainer(context, container).catch(() => undefined);
      }
      if (container.record.inShim) {
        await cleanUpByBinary(context, container, "the sandbox was stopped");
      }
    }),
  );
}

/** The shim no longer answers for this container: its `delete` command kills and tells the exit. */
export async function cleanUpByBinary(
  context: RuntimeContext,
  container: LiveContainer,
  message: string,
): Promise<void> {
  const { id, sandboxId } = container.record;
  const handler = context.handlerOf(context.state.sandboxOf(container).record);
  const { bundle } = containerLayout(context.paths, sandboxId, id);
  const command = await context.command(handler);
  const answer = await runShimDelete(command, id, bundle);
  if ("failed" in answer) {
    context.log.warn({ container: id, error: answer.failed }, "shim delete failed");
  }
  context.state.updateContainer(container, { inShim: false });
  const exit = "failed" in answer ? { exitCode: unknownExitCode, exitedAtMs: undefined } : answer;
  await recordExit(context, container, exit, message);
}

/**
 * First report wins. Resolves when output is drained, the task deleted and the exit stored; at once
 * for a container that was never started.
 */
export async function recordExit(
  context: RuntimeContext,
  container: LiveContainer,
  exit: TaskExit,
  message?: string,
  drainLimitMs = drainTimeoutMs,
): Promise<void> {
  // Never started, so there is no exit to wait for; a start under way learns of the end by itself.
  if (container.record.state === "created") return;
  if (container.record.state !== "running" || container.exiting) return container.exited;
  container.exiting = true;
  const { id, sandboxId } = container.record;
  const sandbox = context.state.sandboxOf(container);
  const { podUid } = sandbox.record.spec;
  const kills = await oomKills(`${podCgroup(context.paths.machineName, podUid)}/${id}`);
  const told =
    readExitReason(containerLayout(context.paths, sandboxId, id).bundle) ??
    (exit.exitCode === 0
      ? undefined
      : readExitReason(sandboxLayout(context.paths, sandboxId).bundle));
  const outOfMemory = told?.kind === "oom-killed" || told?.kind === "guest-out-of-memory";
  if ((kills ?? 0) > 0 || outOfMemory) container.oomKilled = true;
  try {
    if (container.record.inShim && sandbox.tasks !== undefined) {
      await sandbox.tasks.delete({ id });
      context.state.updateContainer(container, { inShim: false });
    }
  } catch (error) {
    context.log.debug({ container: id, error: messageOf(error) }, "task delete failed");
  }
  if (container.io !== undefined) {
    await within(context.clock, container.io.drained, drainLimitMs);
    container.io.close();
  }
  const why = told?.reason ?? message;
  context.state.updateContainer(container, {
    state: "exited",
    exitCode: exit.exitCode,
    finishedAtMs: finishTime(context, exit),
    reason: container.oomKilled ? "OOMKilled" : exit.exitCode === 0 ? "Completed" : "Error",
    ...(why === undefined ? {} : { message: why }),
  });
  container.markExited();
  context.emit({ type: "containerExited", sandboxId, containerId: id });
}

/** Kernel's word of an OOM kill; may come before or after the exit. */
export function recordOom(context: RuntimeContext, container: LiveContainer): void {
  container.oomKilled = true;
  const { id, sandboxId, state, reason } = container.record;
  if (state === "exited" && reason === "Error") {
    context.state.updateContainer(container, { reason: "OOMKilled" });
  }
  context.emit({ type: "oom", sandboxId, containerId: id });
}

function finishTime(context: RuntimeContext, exit: TaskExit): number {
  const { exitedAtMs } = exit;
  // Go's zero time means that the shim did not know.
  return exitedAtMs !== undefined && exitedAtMs > 0 ? exitedAtMs : context.clock.nowMs();
}
