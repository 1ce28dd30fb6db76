/** Sandboxes and containers of this instance as the engine last told of them. */
import { runtimeError } from "../runtime/errors.ts";
import type { ContainerStatus, SandboxStatus } from "../runtime-port.ts";
import type { ContainerFacts } from "./engine.ts";
import type { KeptContainer, KeptSandbox } from "./labels.ts";

export interface DockerContainer {
  readonly id: string;
  readonly sandboxId: string;
  readonly kept: KeptContainer;
  readonly createdAtMs: number;
  status: Pick<
    ContainerStatus,
    "state" | "startedAtMs" | "finishedAtMs" | "exitCode" | "reason" | "message"
  >;
  /** Resolves when the log holds everything the container said; undefined until it was started. */
  logged: Promise<void> | undefined;
  /** The engine is being asked to start it: its end is dealt with afterwards. */
  starting: Promise<void> | undefined;
  exiting: Promise<void> | undefined;
  readonly exited: Promise<void>;
  readonly markExited: () => void;
}

export interface DockerSandbox {
  readonly id: string;
  readonly kept: KeptSandbox;
  readonly createdAtMs: number;
  state: SandboxStatus["state"];
  ip: string | undefined;
  reason: string | undefined;
  /** We are taking it down: its end is no news. */
  closing: boolean;
  readonly containers: Map<string, DockerContainer>;
}

export interface DockerState {
  sandboxes(): readonly DockerSandbox[];
  findSandbox(id: string): DockerSandbox | undefined;
  findContainer(id: string): DockerContainer | undefined;
  /** Rejects with SANDBOX_NOT_FOUND. */
  sandbox(id: string): DockerSandbox;
  /** Rejects with CONTAINER_NOT_FOUND. */
  container(id: string): DockerContainer;
  addSandbox(facts: ContainerFacts, kept: KeptSandbox): DockerSandbox;
  addContainer(facts: ContainerFacts, sandboxId: string, kept: KeptContainer): DockerContainer;
  dropSandbox(id: string): void;
  dropContainer(id: string): void;
}

export function createDockerState(): DockerState {
  const sandboxes = new Map<string, DockerSandbox>();
  const containers = new Map<string, DockerContainer>();

  function sandbox(id: string): DockerSandbox {
    const found = sandboxes.get(id);
    if (found === undefined) throw runtimeError("SANDBOX_NOT_FOUND", `sandbox "${id}" not found`);
    return found;
  }

  return {
    sandboxes: () => [...sandboxes.values()],
    findSandbox: (id) => sandboxes.get(id),
    findContainer: (id) => containers.get(id),
    sandbox,
    container(id) {
      const found = containers.get(id);
      if (found === undefined) {
        throw runtimeError("CONTAINER_NOT_FOUND", `container "${id}" not found`);
      }
      return found;
    },
    addSandbox(facts, kept) {
      const live: DockerSandbox = {
        id: facts.id,
        kept,
        createdAtMs: facts.createdAtMs,
        state: facts.status === "running" ? "ready" : "notready",
        ip: facts.ip,
        reason: undefined,
        closing: false,
        containers: new Map(),
      };
      sandboxes.set(facts.id, live);
      return live;
    },
    addContainer(facts, sandboxId, kept) {
      let markExited: () => void = () => undefined;
      const exited = new Promise<void>((resolve) => {
        markExited = resolve;
      });
      const live: DockerContainer = {
        id: facts.id,
        sandboxId,
        kept,
        createdAtMs: facts.createdAtMs,
        status: { state: "created" },
        logged: undefined,
        starting: undefined,
        exiting: undefined,
        exited,
        markExited,
      };
      containers.set(facts.id, live);
      sandbox(sandboxId).containers.set(facts.id, live);
      return live;
    },
    dropSandbox(id) {
      for (const containerId of sandboxes.get(id)?.containers.keys() ?? []) {
        containers.delete(containerId);
      }
      sandboxes.delete(id);
    },
    dropContainer(id) {
      const live = containers.get(id);
      if (live !== undefined) sandboxes.get(live.sandboxId)?.containers.delete(id);
      containers.delete(id);
    },
  };
}

export function sandboxStatus(sandbox: DockerSandbox, engine: string): SandboxStatus {
  const { id, kept, state, createdAtMs, ip, reason } = sandbox;
  return {
    id,
    state,
    handler: kept.handler,
    podUid: kept.podUid,
    attempt: kept.attempt,
    createdAtMs,
    engine,
    ...(ip === undefined ? {} : { ip }),
    ...(reason === undefined ? {} : { reason }),
  };
}

export function containerStatus(container: DockerContainer): ContainerStatus {
  const { id, sandboxId, kept, createdAtMs, status } = container;
  const { name, attempt, image, logPath } = kept;
  return { id, sandboxId, name, attempt, createdAtMs, image, logPath, ...status };
}
