/** Runs further processes in a container: FIFOs, the shim's Exec, and the exit after the output. */
import { randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { isSimError, messageOf } from "../../common/errors.ts";
import type { ContainerRuntime, ExecSession } from "../runtime-port.ts";
import type { RuntimeContext } from "./context.ts";
import { runtimeError } from "./errors.ts";
import { makeFifos, openFifoReader, openFifoWriter } from "./fifos.ts";
import { containerLayout, sandboxLayout } from "./layout.ts";
import type { LiveContainer } from "./live-state.ts";
import { type OciProcess, type OciSpec, processTypeUrl } from "./oci-types.ts";
import { type ShimTasks, shimErrorText } from "./shim-tasks.ts";

const sigkill = 9;
/** A process whose end is not known because its shim died: that of SIGKILL. */
const killedExitCode = 137;
// Shells' own codes: the command was found but cannot run, or was not found.
const cannotRunExitCode = 126;
const notFoundExitCode = 127;

type ExecOptions = Parameters<ContainerRuntime["exec"]>[1];

/**
 * Rejects with EXEC_FAILED in containerd's words when the command cannot be started;
 * `details.exitCode` is then 126 or 127. The streams must be read (or destroyed) for the exit code
 * to come.
 */
export async function execInContainer(
  context: RuntimeContext,
  container: LiveContainer,
  options: ExecOptions,
): Promise<ExecSession> {
  const { id, sandboxId, state } = container.record;
  const { tasks } = context.state.sandboxOf(container);
  if (state !== "running" || tasks === undefined) {
    throw runtimeError(
      "EXEC_FAILED",
      `failed to exec in container: container is in ${`container_${state}`.toUpperCase()} state`,
    );
  }
  const execId = randomBytes(16).toString("hex");
  const process = { id, execId };
  const fifo = (stream: string) =>
    join(sandboxLayout(context.paths, sandboxId).io, `${execId}-${stream}`);
  const paths = {
    stdin: options.stdin ? fifo("stdin") : "",
    stdout: fifo("stdout"),
    stderr: options.tty ? "" : fifo("stderr"),
  };
  const made = Object.values(paths).filter((path) => path !== "");
  await makeFifos(made);
  const stdout = openFifoReader(paths.stdout);
  const stderr = paths.stderr === "" ? undefined : openFifoReader(paths.stderr);
  const stdin =
    paths.stdin === ""
      ? undefined
      : openFifoWriter(paths.stdin, () => tasks.closeStdin(process).catch(() => undefined));
  stdin?.on("error", () => undefined);
  const cleanUp = async () => {
    stdin?.destroy();
    await Promise.all(made.map((path) => rm(path, { force: true })));
  };
  try {
    await startExec(context, container, tasks, execId, options, paths);
  } catch (error) {
    stdout.destroy();
    stderr?.destroy();
    await cleanUp();
    throw execError(id, error);
  }
  const delivered = Promise.all([whenClosed(stdout), whenClosed(stderr)]);
  let ended = false;
  const exitCode = (async () => {
    const code = await endOfExec(context, tasks, process);
    ended = true;
    await cleanUp();
    await delivered;
    return code;
  })();
  return {
    stdin,
    stdout,
    stderr,
    exitCode,
    resize: (columns, rows) => resize(tasks, process, columns, rows),
    async close() {
      if (!ended) await tasks.kill(process, sigkill).catch(() => undefined);
      stdin?.destroy();
      stdout.destroy();
      stderr?.destroy();
      await exitCode;
    },
  };
}

/** A window size that comes after the end is nobody's error. */
export async function resize(
  tasks: ShimTasks,
  process: { readonly id: string; readonly execId?: string },
  columns: number,
  rows: number,
): Promise<void> {
  await tasks.resize(process, columns, rows).catch(() => undefined);
}

async function startExec(
  context: RuntimeContext,
  container: LiveContainer,
  tasks: ShimTasks,
  execId: string,
  options: ExecOptions,
  stdio: { readonly stdin: string; readonly stdout: string; readonly stderr: string },
): Promise<void> {
  const { id, sandboxId } = container.record;
  const { bundle } = containerLayout(context.paths, sandboxId, id);
  const spec = JSON.parse(await readFile(join(bundle, "config.json"), "utf8")) as OciSpec;
  const process = execProcess(spec.process, options);
  await tasks.exec({
    id,
    execId,
    terminal: options.tty,
    ...stdio,
    spec: {
      typeUrl: processTypeUrl,
      value: new TextEncoder().encode(JSON.stringify(process)),
    },
  });
  try {
    await tasks.start({ id, execId });
  } catch (error) {
    await tasks.delete({ id, execId }).catch(() => undefined);
    throw error;
  }
}

/** The container's own process with other words (containerd internal/cri/server/container_execsync.go). */
export function execProcess(
  process: OciProcess,
  options: Pick<ExecOptions, "command" | "tty">,
): OciProcess {
  const hasTerm = process.env.some((pair) => pair.startsWith("TERM="));
  return {
    ...process,
    terminal: options.tty,
    args: options.command,
    env: options.tty && !hasTerm ? [...process.env, "TERM=xterm"] : process.env,
  };
}

async function endOfExec(
  context: RuntimeContext,
  tasks: ShimTasks,
  process: { readonly id: string; readonly execId: string },
): Promise<number> {
  try {
    const { exitCode } = await tasks.wait(process);
    // Copies what is left of the output, then lets go of the FIFOs.
    await tasks.delete(process);
    return exitCode;
  } catch (error) {
    context.log.debug({ ...process, error: messageOf(error) }, "exec lost with its shim");
    return killedExitCode;
  }
}

function execError(containerId: string, error: unknown) {
  if (isSimError(error) && error.code === "EXEC_FAILED") return error;
  const text = shimErrorText(error);
  return runtimeError(
    "EXEC_FAILED",
    `failed to exec in container: failed to start exec in container "${containerId.slice(0, 12)}": ${text}`,
    { cause: error, details: { exitCode: startExitCode(text) } },
  );
}

/** runc and the shim give the cause as text only. */
function startExitCode(text: string): number {
  return /not found|no such file or directory/i.test(text) ? notFoundExitCode : cannotRunExitCode;
}

function whenClosed(stream: Socket | Writable | undefined): Promise<void> {
  if (stream === undefined || stream.closed) return Promise.resolve();
  return new Promise((resolve) => stream.once("close", () => resolve()));
}
