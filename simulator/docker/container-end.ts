/** Starts following containers, ends them, and deals with their ends, however they are learnt of. */
import { messageOf } from "../../common/errors.ts";
import { runtimeError } from "../runtime/errors.ts";
import { within } from "../runtime/within.ts";
import { copyLog, logPosition, sinceOf } from "./container-log.ts";
import type { EngineContext } from "./context.ts";
import type { DockerContainer, DockerSandbox } from "./docker-state.ts";
import type { ContainerFacts } from "./engine.ts";

const sigkill = 9;
// As in runtime/container-stop.ts: SIGKILL works at once unless something hangs.
const killTimeoutMs = 10_000;
// The engine ends a log with its container; one that does not must not keep the pod from ending.
const drainTimeoutMs = 5_000;
const unknownExitCode = 255;

/** Goes on with the CRI log where it ends. */
export function followLog(context: EngineContext, container: DockerContainer): void {
  const { id, kept } = container;
  const after = logPosition(kept.logPath);
  container.logged = context.engine
    .followLog(id, sinceOf(after))
    .then((source) =>
      copyLog(source, {
        tty: kept.tty,
        logPath: kept.logPath,
        ...(after === undefined ? {} : { after }),
      }),
    )
    .catch((error: unknown) =>
      context.log.error({ container: id, error: messageOf(error) }, "container log not written"),
    );
}

/** SIGTERM (or the image's STOPSIGNAL), then SIGKILL; resolves when the exit is known. */
export async function stopContainer(
  context: EngineContext,
  container: DockerContainer,
  graceMs: number,
): Promise<void> {
  const { id, kept } = container;
  if (container.status.state !== "running") return;
  if (graceMs > 0) {
    await context.engine.killContainer(id, kept.stopSignal);
    if (await within(context.clock, container.exited, graceMs)) return;
  }
  await context.engine.killContainer(id, sigkill);
  if (await within(context.clock, container.exited, killTimeoutMs)) return;
  throw runtimeError(
    "CONTAINER_WRONG_STATE",
    `failed to kill container "${id}": it is still there ${killTimeoutMs / 1000} s after SIGKILL`,
  );
}

/** Asks the engine how the container is, and records an end. Safe to repeat. */
export async function lookAt(context: EngineContext, container: DockerContainer): Promise<void> {
  // The answer to a start under way says it all; a second look follows it.
  await container.starting;
  if (container.status.state !== "running") return;
  const facts = await context.engine.inspectContainer(container.id);
  if (facts?.status === "running") return;
  container.exiting ??= recordEnd(context, container, facts);
  await container.exiting;
}

async function recordEnd(
  context: EngineContext,
  container: DockerContainer,
  facts: ContainerFacts | undefined,
): Promise<void> {
  const { id, sandboxId } = container;
  if (container.logged !== undefined) {
    const drained = await within(context.clock, container.logged, drainTimeoutMs);
    // A reader who follows may be sent away before the last entry; of an ended container the log is whole.
    if (drained) {
      followLog(context, container);
      await within(context.clock, container.logged, drainTimeoutMs);
    }
  }
  container.status = { ...container.status, ...endOf(facts, context.clock.nowMs()) };
  container.markExited();
  context.emit({ type: "containerExited", sandboxId, containerId: id });
}

/** Also for a container found ended by a new node process. */
export function endOf(facts: ContainerFacts | undefined, nowMs: number): DockerContainer["status"] {
  if (facts === undefined) {
    return {
      state: "exited",
      finishedAtMs: nowMs,
      exitCode: unknownExitCode,
      reason: "ContainerStatusUnknown",
      message: "The container was removed from Docker Engine by somebody else",
    };
  }
  const { exitCode, oomKilled, error } = facts;
  return {
    state: "exited",
    ...(facts.startedAtMs === undefined ? {} : { startedAtMs: facts.startedAtMs }),
    finishedAtMs: facts.finishedAtMs ?? nowMs,
    exitCode,
    reason: oomKilled ? "OOMKilled" : exitCode === 0 ? "Completed" : "Error",
    ...(error === "" ? {} : { message: error }),
  };
}

/** The kernel's word of an OOM kill; may come after the end. */
export function recordOom(context: EngineContext, container: DockerContainer): void {
  const { id, sandboxId, status } = container;
  if (status.state === "exited" && status.reason === "Error") {
    container.status = { ...status, reason: "OOMKilled" };
  }
  context.emit({ type: "oom", sandboxId, containerId: id });
}

/** The pause container ended: the pod's namespaces are gone with it. */
export function recordSandboxEnd(
  context: EngineContext,
  sandbox: DockerSandbox,
  facts: ContainerFacts | undefined,
): void {
  if (sandbox.state !== "ready") return;
  sandbox.state = "notready";
  sandbox.ip = undefined;
  if (sandbox.closing) return;
  const name = `the pause container (${sandbox.id.slice(0, 12)})`;
  sandbox.reason =
    facts === undefined ? `${name} was removed` : `${name} ended with exit code ${facts.exitCode}`;
  context.emit({ type: "sandboxExited", sandboxId: sandbox.id, reason: sandbox.reason });
}
