/**
 * Keeps the state true to the engine: looks at everything of this instance whenever a connection is
 * made, then hears of every end. A lost connection (the engine was restarted) is made again.
 */
import { messageOf } from "../../common/errors.ts";
import { endOf, followLog, lookAt, recordOom, recordSandboxEnd } from "./container-end.ts";
import { startErrorExitCode, startErrorReason } from "./container-start.ts";
import type { EngineContext } from "./context.ts";
import type { DockerContainer } from "./docker-state.ts";
import type { ContainerFacts, EngineEvent } from "./engine.ts";
import { instanceLabels, type Labelled, readLabels } from "./labels.ts";

const retryMs = 1_000;
const ends = new Set(["die", "destroy"]);

/** Resolves after the first look, which takes over what an earlier process left; rejects with it. */
export async function watchEngine(context: EngineContext, signal: AbortSignal): Promise<void> {
  // Listening begins before looking: what happens in between is seen by one of them.
  const events = await context.engine.events(instanceLabels(context.paths), signal);
  await takeOver(context);
  listen(context, signal, events).catch((error: unknown) => {
    if (!signal.aborted) context.log.error({ error: messageOf(error) }, "engine watch failed");
  });
}

async function listen(
  context: EngineContext,
  signal: AbortSignal,
  first: AsyncIterable<EngineEvent>,
): Promise<void> {
  let events: AsyncIterable<EngineEvent> | undefined = first;
  while (!signal.aborted) {
    if (events !== undefined) {
      for await (const event of events) onEvent(context, event);
    }
    if (signal.aborted) return;
    await context.clock.sleep(retryMs, signal);
    events = await reconnect(context, signal);
  }
}

async function reconnect(
  context: EngineContext,
  signal: AbortSignal,
): Promise<AsyncIterable<EngineEvent> | undefined> {
  try {
    const events = await context.engine.events(instanceLabels(context.paths), signal);
    await lookAgain(context);
    return events;
  } catch (error) {
    if (!signal.aborted) {
      context.log.warn(
        { error: messageOf(error) },
        "Docker Engine cannot be watched; trying again",
      );
    }
    return undefined;
  }
}

function onEvent(context: EngineContext, { action, containerId }: EngineEvent): void {
  const { state, log } = context;
  const failed = (error: unknown) =>
    log.warn({ container: containerId, error: messageOf(error) }, "end not recorded");
  const container = state.findContainer(containerId);
  if (container !== undefined) {
    if (action === "oom") recordOom(context, container);
    if (ends.has(action)) lookAt(context, container).catch(failed);
    return;
  }
  const sandbox = state.findSandbox(containerId);
  if (sandbox === undefined || !ends.has(action)) return;
  context.engine
    .inspectContainer(containerId)
    .then((facts) => {
      if (facts?.status !== "running") recordSandboxEnd(context, sandbox, facts);
    })
    .catch(failed);
}

interface Found {
  readonly facts: ContainerFacts;
  readonly labelled: Labelled;
}

async function takeOver(context: EngineContext): Promise<void> {
  const { engine, paths } = context;
  const ids = await engine.listContainers(instanceLabels(paths));
  const found: Found[] = [];
  for (const facts of await Promise.all(ids.map((id) => engine.inspectContainer(id)))) {
    const labelled = facts === undefined ? undefined : readLabels(facts.labels);
    if (facts !== undefined && labelled !== undefined) found.push({ facts, labelled });
  }
  found.sort((a, b) => a.facts.createdAtMs - b.facts.createdAtMs);
  for (const { facts, labelled } of found) {
    if (labelled.kind !== "sandbox") continue;
    // A pause container that never ran belongs to a start that was cut short: nobody knows of it.
    if (facts.status === "created") await engine.removeContainer(facts.id);
    else adoptSandbox(context, facts, labelled);
  }
  for (const { facts, labelled } of found) {
    if (labelled.kind === "container") await adoptContainer(context, facts, labelled);
  }
}

function adoptSandbox(
  context: EngineContext,
  facts: ContainerFacts,
  { kept }: Labelled & { readonly kind: "sandbox" },
): void {
  const sandbox = context.state.addSandbox(facts, kept);
  if (facts.status === "running") return;
  sandbox.ip = undefined;
  sandbox.reason = `the pause container (${facts.id.slice(0, 12)}) ended with exit code ${facts.exitCode}`;
}

async function adoptContainer(
  context: EngineContext,
  facts: ContainerFacts,
  { kept, sandboxId }: Labelled & { readonly kind: "container" },
): Promise<void> {
  const { state, engine, clock } = context;
  if (state.findSandbox(sandboxId) === undefined) return engine.removeContainer(facts.id);
  const container = state.addContainer(facts, sandboxId, kept);
  if (facts.status === "created") {
    if (facts.error !== "") markStartFailed(container, facts, clock.nowMs());
    return;
  }
  followLog(context, container);
  if (facts.status === "running") {
    container.status = {
      state: "running",
      ...(facts.startedAtMs === undefined ? {} : { startedAtMs: facts.startedAtMs }),
    };
    return;
  }
  // What it said while no node was there comes first.
  await container.logged;
  container.status = endOf(facts, clock.nowMs());
  container.markExited();
}

function markStartFailed(container: DockerContainer, facts: ContainerFacts, nowMs: number): void {
  container.status = {
    state: "exited",
    exitCode: startErrorExitCode,
    reason: startErrorReason,
    message: `failed to start container "${container.kept.name}": ${facts.error}`,
    finishedAtMs: nowMs,
  };
  container.markExited();
}

/** After a time without events: the engine was away, and may have lost what it ran. */
async function lookAgain(context: EngineContext): Promise<void> {
  for (const sandbox of context.state.sandboxes()) {
    for (const container of sandbox.containers.values()) await lookAt(context, container);
    const facts = await context.engine.inspectContainer(sandbox.id);
    if (facts?.status !== "running") recordSandboxEnd(context, sandbox, facts);
  }
}
