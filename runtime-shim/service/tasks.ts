/** The tasks of this shim: what containerd calls by id, and how their processes end. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "../../common/log.ts";
import { TaskExitSchema, TaskOOMSchema } from "../../proto/containerd/gen/events_pb.js";
import { shimError } from "../errors.ts";
import type { ExitedEvent, OutOfMemory } from "../guest-client/client.ts";
import type { SpecProcess } from "../oci/spec.ts";
import { type ExitReason, writeExitReason } from "./bundle-files.ts";
import type { GuestContainer } from "./container.ts";
import type { Publisher } from "./publisher.ts";
import type { TaskProcess } from "./task-process.ts";

export interface Task {
  readonly id: string;
  readonly bundle: string;
  /** "sandbox" has no process in the guest; "single" is sandbox and container in one (ctr, Docker). */
  readonly kind: "sandbox" | "container" | "single";
  readonly first: TaskProcess;
  readonly container: GuestContainer | undefined;
  readonly execs: Map<string, TaskProcess>;
  /** What an exec will run, by exec id, until it is started. */
  readonly execSpecs: Map<string, SpecProcess>;
}

export interface Tasks {
  add(task: Task): void;
  /** Throws TASK_NOT_FOUND. */
  get(id: string): Task;
  /** The first process for an empty exec id. Throws TASK_NOT_FOUND. */
  process(id: string, execId: string): { readonly task: Task; readonly process: TaskProcess };
  has(id: string): boolean;
  remove(id: string): void;
  all(): readonly Task[];
  /** An exit the guest reported. */
  guestExited(event: ExitedEvent): void;
  guestOom(containerId: string, who: OutOfMemory): void;
  /** The VM is gone, and everything in it. `reason` is absent when that was asked for. */
  vmEnded(reason: string | undefined): void;
}

/** 128 + SIGKILL: what became of everything in a VM that was killed. */
export const killedStatus = 137;

// A client that does not read its FIFO must not keep the exit from being known.
const drainPatienceMs = 5_000;

// Out of memory is a fact about a container, not a count: kills that close together are one event.
const oomPauseMs = 1_000;

export function createTasks(dependencies: {
  readonly publisher: Publisher;
  readonly log: Logger;
  /** The pid every task of a sandbox has on the host: its VMM's. */
  pid(): number;
  vmMemoryMib(): number | undefined;
}): Tasks {
  const { publisher, log, pid } = dependencies;
  const tasks = new Map<string, Task>();
  // A guest may say what it likes as often as it likes; it must not cost us more than once.
  const ending = new WeakSet<TaskProcess>();
  const oomToldMs = new Map<string, number>();

  const publishExit = (task: Task, process: TaskProcess) => {
    const { exitStatus, exitedAtMs } = process.exit ?? { exitStatus: 255, exitedAtMs: Date.now() };
    publisher.publish("/tasks/exit", TaskExitSchema, {
      containerId: task.id,
      id: process.execId || task.id,
      pid: pid(),
      exitStatus,
      exitedAt: timestampFromMs(exitedAtMs),
    });
  };
  const finish = async (task: Task, process: TaskProcess, exitStatus: number) => {
    await process.starting;
    if (process.stdio !== undefined) await drainedOrStuck(process.stdio);
    // Before anybody hears of the exit and looks for its message.
    if (process.execId === "") await task.container?.collect();
    if (!process.end(exitStatus)) return;
    process.stdio?.close();
    log.info({ task: task.id, exec: process.execId, exitStatus }, "process ended");
    publishExit(task, process);
  };
  const oomReason = (who: OutOfMemory): ExitReason =>
    who === "container"
      ? {
          kind: "oom-killed",
          reason: "a process was killed because the container was over its memory limit",
        }
      : {
          kind: "guest-out-of-memory",
          reason: `the sandbox's VM ran out of memory (${dependencies.vmMemoryMib() ?? "?"} MiB): its kernel killed this container, which was within its own limit`,
        };
  const noteReason = (task: Task, reason: ExitReason) => {
    try {
      writeExitReason(task.bundle, reason);
    } catch {
      // The bundle is gone already: nobody will ask for the reason either.
    }
  };

  return {
    add: (task) => void tasks.set(task.id, task),
    get: (id) => getTask(tasks, id),
    process(id, execId) {
      const task = getTask(tasks, id);
      const process = execId === "" ? task.first : task.execs.get(execId);
      if (process === undefined) {
        throw shimError("TASK_NOT_FOUND", `exec process ${execId} of container ${id} not found`);
      }
      return { task, process };
    },
    has: (id) => tasks.has(id),
    remove(id) {
      tasks.delete(id);
      oomToldMs.delete(id);
    },
    all: () => [...tasks.values()],
    guestExited(event) {
      // Ids come from the guest: only those we gave out mean anything.
      const task = tasks.get(event.id);
      const process = event.execId === "" ? task?.first : task?.execs.get(event.execId);
      if (task === undefined || process === undefined || task.kind === "sandbox") return;
      if (ending.has(process)) return;
      ending.add(process);
      if (event.outOfMemory !== undefined) noteReason(task, oomReason(event.outOfMemory));
      void finish(task, process, event.exitCode & 0xff);
    },
    guestOom(containerId, who) {
      if (!tasks.has(containerId)) return;
      const nowMs = performance.now();
      if (nowMs - (oomToldMs.get(containerId) ?? Number.NEGATIVE_INFINITY) < oomPauseMs) return;
      log.warn({ container: containerId, who }, "out of memory");
      oomToldMs.set(containerId, nowMs);
      publisher.publish("/tasks/oom", TaskOOMSchema, { containerId });
    },
    vmEnded(reason) {
      for (const task of tasks.values()) {
        const wasRunning = task.first.state === "running" || task.first.state === "paused";
        if (reason !== undefined && wasRunning) noteReason(task, { kind: "vmm-died", reason });
        for (const process of [...task.execs.values(), task.first]) {
          const started = process.state === "running" || process.state === "paused";
          if (!process.end(killedStatus)) continue;
          process.stdio?.close();
          // What never started has no exit.
          if (started) publishExit(task, process);
        }
      }
    },
  };
}

function getTask(tasks: ReadonlyMap<string, Task>, id: string): Task {
  const task = tasks.get(id);
  if (task === undefined) throw shimError("TASK_NOT_FOUND", `container ${id} not found`);
  return task;
}

/** Until the output was handed over, or nothing moved for a while because nobody reads. */
async function drainedOrStuck(stdio: {
  readonly drained: Promise<void>;
  lastProgressMs(): number;
}): Promise<void> {
  const endedAtMs = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const stuck = new Promise<void>((resolve) => {
    timer = setInterval(() => {
      const lastMs = Math.max(endedAtMs, stdio.lastProgressMs());
      if (performance.now() - lastMs > drainPatienceMs) resolve();
    }, 250);
  });
  await Promise.race([stdio.drained, stuck]);
  clearInterval(timer);
}
