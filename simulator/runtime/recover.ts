/**
 * Finds the shims of an earlier node process again: reconnects, reads what happened meanwhile, goes
 * on with the logs, and clears away what was half-made or half-removed when that process died.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { openIo, watchExit } from "./container-start.ts";
import {
  cleanUpByBinary,
  lateDrainTimeoutMs,
  recordExit,
  unknownExitCode,
} from "./container-stop.ts";
import type { RuntimeContext } from "./context.ts";
import { removeTree } from "./host-mounts.ts";
import { sandboxLayout } from "./layout.ts";
import type { LiveContainer, LiveSandbox } from "./live-state.ts";
import { removeSandboxFiles, teardownSandbox } from "./sandbox-lifecycle.ts";
import { openShimLog } from "./shim-log.ts";
import { connectShim, type ShimTasks } from "./shim-tasks.ts";
import { shimDied, watchShim } from "./shim-watch.ts";

const sigkill = 9;
// kubelet's text for a container whose end nobody saw (pkg/kubelet/kubelet_pods.go).
const unknownReason = "ContainerStatusUnknown";
const unknownMessage = "The container could not be located when the node was restarted";

export async function recoverSandboxes(context: RuntimeContext): Promise<void> {
  await Promise.all(
    context.state.sandboxes().map((sandbox) =>
      recoverSandbox(context, sandbox).catch((error: unknown) => {
        const { id } = sandbox.record;
        context.log.error({ sandbox: id, error: messageOf(error) }, "sandbox not recovered");
      }),
    ),
  );
  await sweep(context);
}

async function recoverSandbox(context: RuntimeContext, sandbox: LiveSandbox): Promise<void> {
  const { id, state, address } = sandbox.record;
  if (state === "creating") {
    // Nobody was told of it yet.
    await teardownSandbox(context, sandbox);
    return removeSandboxFiles(context, sandbox);
  }
  if (state === "notready") {
    sandbox.closing = true;
    for (const container of sandbox.containers.values()) {
      const { record } = container;
      if (record.inShim || record.state === "running") {
        await cleanUpByBinary(
          context,
          container,
          sandbox.record.reason ?? "the sandbox was stopped",
        );
      }
    }
    return;
  }
  let tasks: ShimTasks;
  try {
    tasks = await connectShim(address ?? "", context.namespace);
  } catch {
    return shimDied(context, sandbox);
  }
  sandbox.tasks = tasks;
  sandbox.shimLog = openShimLog(
    join(sandboxLayout(context.paths, id).bundle, "log"),
    context.log.child({ sandbox: id }),
  );
  watchShim(context, sandbox, tasks);
  // Beside the rest: the pod runs, and what is wrong with its network is not mended by waiting for it.
  void context.network.check(id).catch((error: unknown) => {
    context.log.warn({ sandbox: id, error: messageOf(error) }, "the pod's network does not stand");
  });
  await Promise.all(
    [...sandbox.containers.values()]
      .filter(({ record }) => record.state !== "exited" && record.inShim)
      .map((container) => recoverContainer(context, container, tasks)),
  );
}

async function recoverContainer(
  context: RuntimeContext,
  container: LiveContainer,
  tasks: ShimTasks,
): Promise<void> {
  const { id } = container.record;
  const found = await tasks.state({ id });
  if (found.status === "created") {
    // Died between Create and Start: back to where startContainer begins.
    await tasks.kill({ id }, sigkill, true);
    await tasks.wait({ id });
    await tasks.delete({ id });
    context.state.updateContainer(container, { inShim: false });
    return;
  }
  openIo(context, container, tasks);
  if (container.record.state === "created") {
    context.state.updateContainer(container, {
      state: "running",
      startedAtMs: context.clock.nowMs(),
    });
  }
  if (found.status === "running") return watchExit(context, container, tasks);
  // Nobody writes to the FIFOs any more, so no end of file will come.
  if (found.status === "stopped") {
    return recordExit(context, container, found, undefined, lateDrainTimeoutMs);
  }
  const exit = { exitCode: unknownExitCode, exitedAtMs: undefined };
  await recordExit(context, container, exit, unknownMessage, lateDrainTimeoutMs);
  context.state.updateContainer(container, { inShim: false, reason: unknownReason });
}

/** Removes what no record knows: a process died between making a thing and writing it down. */
async function sweep(context: RuntimeContext): Promise<void> {
  const { paths, state, network } = context;
  const known = new Set(state.sandboxes().map((sandbox) => sandbox.record.id));
  for (const name of await names(paths.sandboxes)) {
    if (!known.has(name)) await removeTree(join(paths.sandboxes, name));
  }
  const layers = join(paths.state, "layers");
  for (const name of await names(layers)) {
    if (state.findContainer(name) === undefined) await removeTree(join(layers, name));
  }
  const removed = await network.sweep(known);
  if (removed.length > 0) context.log.info({ removed }, "left-over network namespaces removed");
}

async function names(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}
