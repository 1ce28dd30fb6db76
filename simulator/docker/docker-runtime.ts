/**
 * The adapter for Docker Engine: trusted pods for people who are not root, or have no runc. A pod is
 * a pause container that holds the shared namespaces and containers that join it. The engine is the
 * store: what a restarted node must know is in labels.
 */
import { EventEmitter } from "node:events";
import { mkdir } from "node:fs/promises";
import { type Clock, systemClock } from "../../common/clock.ts";
import { isSimError, messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { Paths } from "../../common/paths.ts";
import type { ImageStore } from "../images/index.ts";
import { runtimeError } from "../runtime/errors.ts";
import { builtinHandlers, findHandler } from "../runtime/handler-table.ts";
import { readHostLimits } from "../runtime/host-limits.ts";
import type { ContainerRuntime, RuntimeEvent } from "../runtime-port.ts";
import { attach } from "./attach.ts";
import { lookAt, stopContainer } from "./container-end.ts";
import { createContainer, startContainer } from "./container-start.ts";
import type { DockerContext, EngineContext } from "./context.ts";
import { containerStatus, createDockerState, sandboxStatus } from "./docker-state.ts";
import { chosenSocket, engineOf, rememberEngine } from "./engine-choice.ts";
import { createEngineImages } from "./engine-images.ts";
import { watchEngine } from "./engine-watch.ts";
import { execInContainer } from "./exec.ts";
import { engineName, shortVersion } from "./find-engine.ts";
import { dockerHandlerStatus } from "./handler-status.ts";
import { portForward } from "./port-forward.ts";
import { removeSandbox, runSandbox, stopSandbox } from "./sandbox-lifecycle.ts";
import { sandboxUsage } from "./usage.ts";

export interface DockerRuntimeOptions {
  readonly paths: Paths;
  readonly images: ImageStore;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Where DOCKER_HOST is read from; default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

const trustedHandlers = builtinHandlers.filter(({ sandboxed }) => !sandboxed);

// An engine that is being restarted is back within seconds.
const retryMs = 2_000;

/** Talks to no engine before `recover()`, and then only where this instance has pods in one. */
export function createDockerRuntime(options: DockerRuntimeOptions): ContainerRuntime {
  const { paths, log, env = process.env } = options;
  const state = createDockerState();
  const events = new EventEmitter();
  events.setMaxListeners(50);
  const stopping = new AbortController();
  const base: DockerContext = {
    paths,
    images: options.images,
    clock: options.clock ?? systemClock,
    log,
    state,
    emit: (event: RuntimeEvent) => void events.emit("event", event),
  };
  let opening: Promise<EngineContext> | undefined;
  let engine = "Docker Engine";

  /** Once for all verbs; after a failure the next verb tries again. */
  function open(): Promise<EngineContext> {
    opening ??= openNow().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  }

  async function openNow(): Promise<EngineContext> {
    const found = await engineOf(paths, env);
    await rememberEngine(paths, found);
    await mkdir(paths.sandboxes, { recursive: true, mode: 0o711 });
    engine = `Docker Engine ${shortVersion(found.facts.version)}`;
    const context: EngineContext = {
      ...base,
      engine: found.engine,
      engineImages: createEngineImages(found.engine, options.images, paths),
      minOomScoreAdj: found.facts.rootless ? 0 : readHostLimits("bounding").minOomScoreAdj,
    };
    await watchEngine(context, stopping.signal);
    log.info({ engine: engineName(found) }, "Docker Engine serves trusted pods");
    return context;
  }

  async function recover(): Promise<void> {
    if (chosenSocket(paths) === undefined) return;
    try {
      await open();
    } catch (error) {
      log.error({ error: messageOf(error) }, "pods in Docker Engine are out of reach");
      void openLater();
    }
  }

  async function openLater(): Promise<void> {
    const { signal } = stopping;
    while (!signal.aborted) {
      await base.clock.sleep(retryMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      if (
        await open().then(
          () => true,
          () => false,
        )
      )
        return;
    }
  }

  return {
    handlers: async () => [await dockerHandlerStatus(paths, env)],
    async runSandbox(handler, spec, signal) {
      const { name } = findHandler(trustedHandlers, handler);
      const context = await open().catch((error: unknown) => {
        throw runtimeError("HANDLER_UNUSABLE", messageOf(error), {
          cause: error,
          ...(isSimError(error) && error.hint ? { hint: error.hint } : {}),
        });
      });
      const sandbox = await runSandbox(context, name, spec, signal);
      return sandboxStatus(sandbox, engine);
    },
    async sandboxStatus(id) {
      const found = state.findSandbox(id);
      return found === undefined ? undefined : sandboxStatus(found, engine);
    },
    listSandboxes: async () => state.sandboxes().map((sandbox) => sandboxStatus(sandbox, engine)),
    async stopSandbox(id) {
      const found = state.findSandbox(id);
      if (found !== undefined) await stopSandbox(await open(), found);
    },
    async removeSandbox(id) {
      const found = state.findSandbox(id);
      if (found !== undefined) await removeSandbox(await open(), found);
    },
    async createContainer(sandboxId, spec) {
      const sandbox = state.sandbox(sandboxId);
      return containerStatus(await createContainer(await open(), sandbox, spec));
    },
    async startContainer(id) {
      const container = state.container(id);
      await startContainer(await open(), container);
      return containerStatus(container);
    },
    async stopContainer(id, graceMs) {
      const found = state.findContainer(id);
      if (found !== undefined) await stopContainer(await open(), found, graceMs);
    },
    async removeContainer(id) {
      const found = state.findContainer(id);
      if (found === undefined) return;
      const context = await open();
      await stopContainer(context, found, 0);
      await lookAt(context, found);
      await context.engine.removeContainer(id);
      state.dropContainer(id);
    },
    async containerStatus(id) {
      const found = state.findContainer(id);
      return found === undefined ? undefined : containerStatus(found);
    },
    listContainers: async (sandboxId) =>
      [...(state.findSandbox(sandboxId)?.containers.values() ?? [])].map(containerStatus),
    exec: async (id, wanted) => execInContainer(await open(), state.container(id), wanted),
    attach: async (id, { stdin }) => attach(await open(), state.container(id), stdin),
    portForward: async (id, port) => portForward(await open(), state.sandbox(id), port),
    async usage(id) {
      const found = state.findSandbox(id);
      return found === undefined ? [] : sandboxUsage(await open(), found);
    },
    onEvent(listener) {
      events.on("event", listener);
      return () => void events.off("event", listener);
    },
    recover,
    async close() {
      stopping.abort();
      await opening?.catch(() => undefined);
    },
  };
}
