/** Sandboxes and containers as they are now: the stored record plus what only a live process has. */
import { stepNow } from "../../common/timeline.ts";
import type { ContainerIo } from "./container-io.ts";
import { runtimeError } from "./errors.ts";
import type { ContainerRecord, RuntimeRecords, SandboxRecord } from "./records.ts";
import type { ShimLog } from "./shim-log.ts";
import type { ShimTasks } from "./shim-tasks.ts";

export interface LiveContainer {
  record: ContainerRecord;
  io: ContainerIo | undefined;
  oomKilled: boolean;
  /** Its exit is being dealt with; a second report of it is ignored. */
  exiting: boolean;
  readonly exited: Promise<void>;
  readonly markExited: () => void;
}

export interface LiveSandbox {
  record: SandboxRecord;
  tasks: ShimTasks | undefined;
  shimLog: ShimLog | undefined;
  /** We are taking it down: a closed connection is no news. */
  closing: boolean;
  /** Nothing of it runs or is mounted any more; files and records may be left. */
  tornDown: boolean;
  readonly containers: Map<string, LiveContainer>;
}

export interface LiveState {
  sandboxes(): readonly LiveSandbox[];
  findSandbox(id: string): LiveSandbox | undefined;
  findContainer(id: string): LiveContainer | undefined;
  /** Rejects with SANDBOX_NOT_FOUND. */
  sandbox(id: string): LiveSandbox;
  /** Rejects with CONTAINER_NOT_FOUND. */
  container(id: string): LiveContainer;
  sandboxOf(container: LiveContainer): LiveSandbox;
  addSandbox(record: SandboxRecord): LiveSandbox;
  addContainer(record: ContainerRecord): LiveContainer;
  /** Stores first, so that a crash between the two loses nothing. */
  updateSandbox(sandbox: LiveSandbox, change: Partial<SandboxRecord>): void;
  /** The same write also says that a step of the sandbox's start was reached. */
  reachStep(sandbox: LiveSandbox, step: string, change: Partial<SandboxRecord>): void;
  updateContainer(container: LiveContainer, change: Partial<ContainerRecord>): void;
  dropSandbox(id: string): void;
  dropContainer(id: string): void;
}

/** Starts from what the records hold. */
export function createLiveState(records: RuntimeRecords): LiveState {
  const sandboxes = new Map<string, LiveSandbox>();
  const containers = new Map<string, LiveContainer>();

  const liveSandbox = (record: SandboxRecord): LiveSandbox => {
    const live = {
      record,
      tasks: undefined,
      shimLog: undefined,
      closing: false,
      tornDown: false,
      containers: new Map(),
    };
    sandboxes.set(record.id, live);
    return live;
  };
  const liveContainer = (record: ContainerRecord): LiveContainer => {
    let markExited: () => void = () => undefined;
    const exited = new Promise<void>((resolve) => {
      markExited = resolve;
    });
    if (record.state === "exited") markExited();
    const live: LiveContainer = {
      record,
      io: undefined,
      oomKilled: record.reason === "OOMKilled",
      exiting: false,
      exited,
      markExited,
    };
    containers.set(record.id, live);
    sandboxes.get(record.sandboxId)?.containers.set(record.id, live);
    return live;
  };
  for (const record of records.sandboxes()) liveSandbox(record);
  for (const record of records.containers()) {
    if (sandboxes.has(record.sandboxId)) liveContainer(record);
    else records.deleteContainer(record.id);
  }

  function sandbox(id: string): LiveSandbox {
    const found = sandboxes.get(id);
    if (found === undefined) throw runtimeError("SANDBOX_NOT_FOUND", `sandbox "${id}" not found`);
    return found;
  }

  function updateSandbox(live: LiveSandbox, change: Partial<SandboxRecord>): void {
    const record = { ...live.record, ...change };
    // A late report must not bring a removed sandbox back.
    if (sandboxes.get(record.id) === live) records.putSandbox(record);
    live.record = record;
  }

  function container(id: string): LiveContainer {
    const found = containers.get(id);
    if (found === undefined) {
      throw runtimeError("CONTAINER_NOT_FOUND", `container "${id}" not found`);
    }
    return found;
  }

  return {
    sandboxes: () => [...sandboxes.values()],
    findSandbox: (id) => sandboxes.get(id),
    findContainer: (id) => containers.get(id),
    sandbox,
    container,
    sandboxOf: (live) => sandbox(live.record.sandboxId),
    addSandbox(record) {
      records.putSandbox(record);
      return liveSandbox(record);
    },
    addContainer(record) {
      records.putContainer(record);
      return liveContainer(record);
    },
    updateSandbox,
    reachStep(live, step, change) {
      const timeline = [...(live.record.timeline ?? []), stepNow(step)];
      updateSandbox(live, { ...change, timeline });
    },
    updateContainer(live, change) {
      const record = { ...live.record, ...change };
      if (containers.get(record.id) === live) records.putContainer(record);
      live.record = record;
    },
    dropSandbox(id) {
      for (const containerId of sandboxes.get(id)?.containers.keys() ?? []) {
        containers.delete(containerId);
        records.deleteContainer(containerId);
      }
      sandboxes.delete(id);
      records.deleteSandbox(id);
    },
    dropContainer(id) {
      const live = containers.get(id);
      if (live !== undefined) sandboxes.get(live.record.sandboxId)?.containers.delete(id);
      containers.delete(id);
      records.deleteContainer(id);
    },
  };
}
