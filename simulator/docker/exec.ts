/** Further processes in a container: the engine's exec, joined to the agent's streams. */
import { readFile } from "node:fs/promises";
import type { Duplex, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { messageOf } from "../../common/errors.ts";
import { runtimeError } from "../runtime/errors.ts";
import type { ContainerRuntime, ExecSession } from "../runtime-port.ts";
import { killerBody } from "./container-body.ts";
import type { EngineContext } from "./context.ts";
import type { DockerContainer } from "./docker-state.ts";
import type { ExecFacts } from "./engine.ts";
import { splitOutput } from "./framed-output.ts";
import { instanceLabels } from "./labels.ts";
import { containerName } from "./names.ts";
import { inputOf } from "./process-input.ts";

type ExecOptions = Parameters<ContainerRuntime["exec"]>[1];

const pollMs = 10;
const killedExitCode = 137;
// Shells' own codes: the command was found but cannot run, or was not found.
const cannotRunExitCode = 126;
const notFoundExitCode = 127;

/**
 * Rejects with EXEC_FAILED in the engine's words when the command cannot be started;
 * `details.exitCode` is then 126 or 127.
 */
export async function execInContainer(
  context: EngineContext,
  container: DockerContainer,
  options: ExecOptions,
): Promise<ExecSession> {
  const { engine } = context;
  const { id, status } = container;
  if (status.state !== "running") {
    throw runtimeError(
      "EXEC_FAILED",
      `failed to exec in container: container is in ${`container_${status.state}`.toUpperCase()} state`,
    );
  }
  const execId = await engine.createExec(id, options);
  const stream = await engine.startExec(execId, options.tty);
  stream.on("error", () => undefined);
  const outputs = splitOutput(stream, options.tty);
  const begun = await whenBegun(context, execId);
  if (begun.pid === 0 && !begun.running) {
    throw await startFailure(id, outputs.stdout, stream);
  }
  let ended = false;
  const exitCode = (async () => {
    await outputs.ended;
    const code = await endOfExec(context, execId);
    ended = true;
    return code;
  })();
  return {
    stdin: options.stdin ? inputOf(stream, true) : undefined,
    stdout: outputs.stdout,
    stderr: outputs.stderr,
    exitCode,
    resize: (columns, rows) => engine.resizeExec(execId, columns, rows).catch(() => undefined),
    async close() {
      if (!ended) await killExec(context, container, execId);
      outputs.stdout.destroy();
      outputs.stderr?.destroy();
      stream.destroy();
      await exitCode;
    },
  };
}

/** The engine answers an exec's start before the process runs, and does not tell when it does. */
async function whenBegun(context: EngineContext, execId: string): Promise<ExecFacts> {
  for (;;) {
    const facts = await context.engine.inspectExec(execId);
    if (facts.pid > 0 || (!facts.running && facts.exitCode !== undefined)) return facts;
    await context.clock.sleep(pollMs);
  }
}

/** An exec that could not be started has its error as output. */
async function startFailure(containerId: string, stdout: Readable, stream: Duplex): Promise<Error> {
  const said = (await text(stdout)).trim();
  stream.destroy();
  return runtimeError(
    "EXEC_FAILED",
    `failed to exec in container: failed to start exec in container "${containerId.slice(0, 12)}": ${said}`,
    { details: { exitCode: startExitCode(said) } },
  );
}

/** runc gives the cause as text only. */
function startExitCode(said: string): number {
  return /not found|no such file or directory/i.test(said) ? notFoundExitCode : cannotRunExitCode;
}

async function endOfExec(context: EngineContext, execId: string): Promise<number> {
  for (;;) {
    let facts: ExecFacts;
    try {
      facts = await context.engine.inspectExec(execId);
    } catch (error) {
      // Its container was removed, or the engine has gone.
      context.log.debug({ exec: execId, error: messageOf(error) }, "exec lost");
      return killedExitCode;
    }
    if (!facts.running) return facts.exitCode ?? killedExitCode;
    await context.clock.sleep(pollMs);
  }
}

/** By a helper in the container's PID namespace: this user may not signal the engine's processes. */
async function killExec(
  context: EngineContext,
  container: DockerContainer,
  execId: string,
): Promise<void> {
  const { engine, paths } = context;
  let helper: string | undefined;
  try {
    const { running, pid } = await engine.inspectExec(execId);
    if (!running) return;
    const innerPid = await pidInContainer(pid);
    if (innerPid === undefined) throw new Error(`process ${pid} is not to be seen`);
    const { kept } = context.state.sandbox(container.sandboxId);
    helper = await engine.createContainer(
      containerName("KILL", kept),
      killerBody(
        await context.engineImages.ensurePause(),
        container.id,
        innerPid,
        instanceLabels(paths),
      ),
    );
    await engine.startContainer(helper);
    await endOfExec(context, execId);
  } catch (error) {
    context.log.warn({ exec: execId, error: messageOf(error) }, "exec not ended");
  } finally {
    if (helper !== undefined) await engine.removeContainer(helper).catch(() => undefined);
  }
}

/** The last of NSpid (proc(5)) is the number in the innermost PID namespace. */
async function pidInContainer(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const inner = /^NSpid:.*\s(\d+)$/m.exec(status)?.[1];
  return inner === undefined ? undefined : Number(inner);
}
