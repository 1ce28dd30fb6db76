/** Notices that a shim, a VM or a pause process died, finds out why, and reports it. */
import { messageOf } from "../../common/errors.ts";
import { readExitReason } from "../../runtime-shim/index.ts";
import { watchExit } from "./container-start.ts";
import { cleanUpByBinary } from "./container-stop.ts";
import type { RuntimeContext } from "./context.ts";
import { sandboxLayout } from "./layout.ts";
import type { LiveSandbox } from "./live-state.ts";
import { isAlive } from "./process-end.ts";
import { runShimDelete } from "./shim-binary.ts";
import { connectShim, type ShimTasks, type TaskExit } from "./shim-tasks.ts";

/** Watches the connection and the sandbox's own process until the sandbox is taken down. */
export function watchShim(context: RuntimeContext, sandbox: LiveSandbox, tasks: ShimTasks): void {
  const report = (error: unknown) =>
    context.log.error({ sandbox: sandbox.record.id, error: messageOf(error) }, "shim watch failed");
  tasks
    .wait({ id: sandbox.record.id })
    .then((exit) => sandboxExited(context, sandbox, exit))
    // Lost with the connection, which is watched below.
    .catch(() => undefined);
  tasks.closed
    .then(async () => {
      if (sandbox.closing || sandbox.tasks !== tasks) return;
      sandbox.tasks = undefined;
      if (!(await reconnect(context, sandbox))) await shimDied(context, sandbox);
    })
    .catch(report);
}

/** The sandbox's task ended: the pause process, or the VM with everything in it. */
export function sandboxExited(context: RuntimeContext, sandbox: LiveSandbox, exit: TaskExit): void {
  if (sandbox.closing || sandbox.record.state !== "ready") return;
  const { id, taskPid } = sandbox.record;
  const told = readExitReason(sandboxLayout(context.paths, id).bundle)?.reason;
  const what = context.handlerOf(sandbox.record).sandboxed
    ? "the virtual machine"
    : "the pause process";
  const signal = exit.exitCode > 128 ? ` (signal ${exit.exitCode - 128})` : "";
  setNotReady(
    context,
    sandbox,
    told ?? `${what} (pid ${taskPid}) ended with exit code ${exit.exitCode}${signal}`,
  );
}

/** Everything in the sandbox is lost to us: ends what still runs by the shim's own `delete`. */
export async function shimDied(
  context: RuntimeContext,
  sandbox: LiveSandbox,
  why?: string,
): Promise<void> {
  sandbox.closing = true;
  const { id, shimPid } = sandbox.record;
  const { bundle } = sandboxLayout(context.paths, id);
  const crash = sandbox.shimLog?.lastFatal();
  const shim = `the shim (pid ${shimPid ?? "unknown"})`;
  const reason =
    readExitReason(bundle)?.reason ??
    why ??
    (crash === undefined ? `${shim} was killed` : `${shim} crashed: ${crash}`);
  context.log.warn({ sandbox: id, reason }, "shim lost");
  const command = await context.command(context.handlerOf(sandbox.record));
  await Promise.all(
    [...sandbox.containers.values()]
      .filter(({ record }) => record.inShim || record.state === "running")
      .map((container) => cleanUpByBinary(context, container, reason)),
  );
  await runShimDelete(command, id, bundle);
  setNotReady(context, sandbox, reason);
}

function setNotReady(context: RuntimeContext, sandbox: LiveSandbox, reason: string): void {
  if (sandbox.record.state !== "ready") return;
  context.state.updateSandbox(sandbox, { state: "notready", reason });
  context.emit({ type: "sandboxExited", sandboxId: sandbox.record.id, reason });
}

/** A connection may break while the shim lives; containers must not suffer from that. */
async function reconnect(context: RuntimeContext, sandbox: LiveSandbox): Promise<boolean> {
  const { address, shimPid } = sandbox.record;
  if (address === undefined) return false;
  if (shimPid !== undefined && !isAlive(shimPid, "containerd-shim")) return false;
  try {
    const tasks = await connectShim(address, context.namespace);
    sandbox.tasks = tasks;
    watchShim(context, sandbox, tasks);
    for (const container of sandbox.containers.values()) {
      if (container.record.state === "running") watchExit(context, container, tasks);
    }
    return true;
  } catch {
    return false;
  }
}
