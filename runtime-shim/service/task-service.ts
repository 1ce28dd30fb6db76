/**
 * containerd's task service (runtime/v2/task/shim.proto): one function per RPC. All tasks of this
 * process belong to one sandbox.
 */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "../../common/log.ts";
import * as events from "../../proto/containerd/gen/events_pb.js";
import type { Task as TaskServiceDescriptor } from "../../proto/containerd/gen/task_pb.js";
import { shimError } from "../errors.ts";
import { addressAnnotation } from "../network/user-network.ts";
import { resourceFields } from "../oci/oci-to-guest.ts";
import { sharedMemoryBytes } from "../oci/shared-memory.ts";
import { LinuxResourcesSchema, ProcessSchema, readSpec } from "../oci/spec.ts";
import type { CallContext, ServiceHandlers } from "../ttrpc/server.ts";
import { createContainer, startFailureStatus } from "./container.ts";
import {
  limitsOf,
  networkNamespace,
  optionsJson,
  parseOptions,
  podLimits,
  taskKind,
} from "./create-request.ts";
import type { Publisher } from "./publisher.ts";
import { bootSandbox, type Sandbox } from "./sandbox.ts";
import type { SpareVm } from "./spare-vm.ts";
import type { ShimState } from "./state-file.ts";
import { guestFigures, hostCgroupVersion, metricsAny } from "./stats.ts";
import { createTaskProcess, type TaskProcess } from "./task-process.ts";
import { assertVerb, wireStatus } from "./task-state.ts";
import { createTasks, killedStatus, type Task } from "./tasks.ts";

export interface TaskService {
  readonly handlers: ServiceHandlers<typeof TaskServiceDescriptor>;
  /** Whether there is no task, and none is being made. */
  isIdle(): boolean;
  /** Ends the VM and everything in it. Idempotent. */
  stop(): Promise<void>;
}

const shimVersion = "2";

export function createTaskService(dependencies: {
  readonly state: ShimState;
  readonly publisher: Publisher;
  readonly log: Logger;
  readonly spareVm?: SpareVm | undefined;
  /** Called when a Shutdown was answered and no task is left. */
  shutdown(): void;
}): TaskService {
  const { state, publisher, log } = dependencies;
  let sandbox: Sandbox | undefined;
  const vmmPid = () => sandbox?.vmmPid ?? process.pid;
  const vmMemoryMib = () => sandbox?.record.memoryMib;
  const tasks = createTasks({ publisher, log, pid: vmmPid, vmMemoryMib });
  const creating = new Set<string>();

  const isIdle = () => tasks.all().length === 0 && creating.size === 0;

  const needSandbox = (): Sandbox => {
    if (sandbox !== undefined) return sandbox;
    throw shimError("TASK_NOT_FOUND", `sandbox ${state.groupId} has no virtual machine`);
  };
  const boot = async (
    request: { options?: Parameters<typeof optionsJson>[0] },
    spec: ReturnType<typeof readSpec>,
    signal: AbortSignal,
  ) => {
    if (sandbox !== undefined) {
      // Kata's own words.
      throw shimError("TASK_EXISTS", `cannot create another sandbox in sandbox: ${state.groupId}`);
    }
    const booted = await bootSandbox({
      state,
      options: parseOptions(optionsJson(request.options) ?? state.optionsJson),
      limits: podLimits(spec),
      hostname: (spec.hostname || state.groupId).slice(0, 64),
      sysctls: spec.linux?.sysctl ?? {},
      sharedMemoryBytes: sharedMemoryBytes(spec),
      netnsPath: networkNamespace(spec),
      annotations: spec.annotations ?? {},
      address: spec.annotations?.[addressAnnotation],
      cgroupsPath: spec.linux?.cgroupsPath ?? undefined,
      listener: { exited: tasks.guestExited, oom: tasks.guestOom },
      spareVm: dependencies.spareVm,
      log,
      signal,
    });
    sandbox = booted;
    void booted.ended.then(({ reason }) => tasks.vmEnded(reason));
    return booted;
  };

  const handlers: TaskService["handlers"] = {
    async create(request, { signal }: CallContext) {
      const { id, bundle, rootfs, terminal, stdin, stdout, stderr } = request;
      if (tasks.has(id) || creating.has(id)) {
        throw shimError("TASK_EXISTS", `container ${id} already exists`);
      }
      if (request.checkpoint !== "") throw notSimulated("restoring a checkpoint");
      creating.add(id);
      try {
        const spec = readSpec(bundle);
        const kind = taskKind(spec);
        const first = createTaskProcess("", { stdin, stdout, stderr, terminal });
        const owner = kind === "container" ? needSandbox() : await boot(request, spec, signal);
        let container: Task["container"];
        try {
          if (kind !== "sandbox") {
            container = await createContainer({
              ...{ id, bundle, spec, rootfs, sandbox: owner, process: first, log },
            });
          }
          // A caller that was killed meanwhile, or told that it is late, would never delete the task.
          signal.throwIfAborted();
        } catch (error) {
          await container?.remove();
          if (kind !== "container") {
            await owner.stop();
            sandbox = undefined;
          }
          throw error;
        }
        const execs = new Map<string, TaskProcess>();
        tasks.add({ id, bundle, kind, first, container, execs, execSpecs: new Map() });
        publisher.publish("/tasks/create", events.TaskCreateSchema, {
          ...{ containerId: id, bundle, rootfs, checkpoint: "", pid: vmmPid() },
          io: { stdin, stdout, stderr, terminal },
        });
        return { pid: vmmPid() };
      } finally {
        creating.delete(id);
      }
    },

    async start({ id, execId }) {
      const { task, process } = tasks.process(id, execId);
      assertVerb("start", process.state, execId === "" ? "a task" : "an exec process");
      if (process.starting !== undefined) {
        throw shimError("TASK_WRONG_STATE", "the process is being started already");
      }
      process.beginStart();
      try {
        if (execId === "") await task.container?.start();
        else await task.container?.exec(process, takeExecSpec(task, execId));
      } catch (error) {
        // It never ran: Delete must be possible, and there is no exit to tell.
        process.end(startFailureStatus(error));
        process.stdio?.close();
        throw error;
      }
      // The VM may have died while the guest started it.
      if (process.state !== "created")
        throw shimError("VMM_GONE", "the sandbox ended during the start");
      process.move("running");
      const pid = vmmPid();
      if (execId === "")
        publisher.publish("/tasks/start", events.TaskStartSchema, { containerId: id, pid });
      else {
        publisher.publish("/tasks/exec-started", events.TaskExecStartedSchema, {
          containerId: id,
          execId,
          pid,
        });
      }
      process.settleStart();
      return { pid };
    },

    async exec({ id, execId, spec, stdin, stdout, stderr, terminal }) {
      const task = tasks.get(id);
      assertVerb("exec", task.first.state, "a task");
      if (task.container === undefined) {
        throw shimError(
          "TASK_WRONG_STATE",
          `cannot exec in sandbox ${id}: it has no process of its own`,
        );
      }
      if (task.execs.has(execId))
        throw shimError("TASK_EXISTS", `exec process ${execId} already exists`);
      const parsed = ProcessSchema.parse(parseJson(spec?.value, "exec spec"));
      task.execSpecs.set(execId, { ...parsed, terminal });
      task.execs.set(execId, createTaskProcess(execId, { stdin, stdout, stderr, terminal }));
      publisher.publish("/tasks/exec-added", events.TaskExecAddedSchema, {
        containerId: id,
        execId,
      });
      return {};
    },

    async kill({ id, execId, signal, all }) {
      const { task, process } = tasks.process(id, execId);
      if (process.state === "stopped")
        throw shimError("PROCESS_FINISHED", "process already finished");
      if (task.kind === "sandbox") {
        // Any signal that ends a pause container ends the sandbox; others it would not notice.
        if (endsPause(signal)) await needSandbox().stop(signal === 9 ? "kill" : "shutdown");
      } else if (process.state === "created" && execId !== "") {
        process.end(killedStatus);
      } else {
        await task.container?.signal(execId, signal, all);
      }
      return {};
    },

    async delete({ id, execId }) {
      const { task, process } = tasks.process(id, execId);
      assertVerb("delete", process.state, execId === "" ? "a task" : "an exec process");
      process.end(killedStatus);
      const { exitStatus, exitedAtMs } = process.exit ?? {
        exitStatus: killedStatus,
        exitedAtMs: Date.now(),
      };
      const exited = { pid: vmmPid(), exitStatus, exitedAt: timestampFromMs(exitedAtMs) };
      if (execId !== "") {
        process.stdio?.abandon();
        task.execs.delete(execId);
        return exited;
      }
      for (const exec of task.execs.values()) exec.stdio?.abandon();
      if (task.kind === "container") await task.container?.remove();
      else {
        await sandbox?.stop();
        await task.container?.remove();
      }
      tasks.remove(id);
      publisher.publish("/tasks/delete", events.TaskDeleteSchema, { containerId: id, ...exited });
      return exited;
    },

    async state({ id, execId }) {
      const { task, process } = tasks.process(id, execId);
      return {
        ...{ id, execId, bundle: task.bundle, pid: vmmPid(), ...process.paths },
        status: wireStatus(process.state),
        exitStatus: process.exit?.exitStatus ?? 0,
        ...(process.exit === undefined
          ? {}
          : { exitedAt: timestampFromMs(process.exit.exitedAtMs) }),
      };
    },

    async wait({ id, execId }) {
      const { process } = tasks.process(id, execId);
      const { exitStatus, exitedAtMs } = await process.exited;
      return { exitStatus, exitedAt: timestampFromMs(exitedAtMs) };
    },

    async pause({ id }) {
      const task = tasks.get(id);
      assertVerb("pause", task.first.state, "a task");
      if (task.container === undefined) throw notSimulated("pausing a sandbox without a process");
      await needSandbox().guest.request("pause", [[1, id]]);
      task.first.move("paused");
      publisher.publish("/tasks/paused", events.TaskPausedSchema, { containerId: id });
      return {};
    },

    async resume({ id }) {
      const task = tasks.get(id);
      assertVerb("resume", task.first.state, "a task");
      await needSandbox().guest.request("resume", [[1, id]]);
      task.first.move("running");
      publisher.publish("/tasks/resumed", events.TaskResumedSchema, { containerId: id });
      return {};
    },

    async update({ id, resources }) {
      const task = tasks.get(id);
      assertVerb("update", task.first.state, "a task");
      const parsed = LinuxResourcesSchema.parse(parseJson(resources?.value, "resources"));
      // A sandbox without a process is its VM.
      if (task.container === undefined) await needSandbox().resize(limitsOf(parsed));
      else await needSandbox().guest.request("update", [[1, id], ...resourceFields(parsed)]);
      return {};
    },

    async resizePty({ id, execId, width, height }) {
      const { process } = tasks.process(id, execId);
      assertVerb("resize the terminal of", process.state, "a process");
      // A terminal that is not there yet gets its size with the next resize.
      if (process.state === "created" && execId !== "") return {};
      await needSandbox().guest.request("resize", [
        ...[[1, id] as const, [2, execId === "" ? undefined : execId] as const],
        ...[[3, width] as const, [4, height] as const],
      ]);
      return {};
    },

    async closeIO({ id, execId, stdin }) {
      if (stdin) tasks.process(id, execId).process.stdio?.closeStdin();
      return {};
    },

    async pids({ id }) {
      tasks.get(id);
      // As Kata: what runs in the guest has no pid on this host but the VMM's.
      return { processes: [{ pid: vmmPid() }] };
    },

    async stats({ id }) {
      const task = tasks.get(id);
      const inGuest = task.kind === "sandbox" ? undefined : id;
      const reply = await needSandbox().guest.request(
        "stats",
        inGuest === undefined ? [] : [[1, inGuest]],
      );
      return { stats: metricsAny(guestFigures(reply, inGuest), hostCgroupVersion()) };
    },

    async connect({ id }) {
      tasks.get(id);
      return { shimPid: process.pid, taskPid: vmmPid(), version: shimVersion };
    },

    async checkpoint() {
      throw notSimulated("checkpointing a container");
    },

    async shutdown() {
      if (isIdle()) dependencies.shutdown();
      return {};
    },
  };

  return {
    handlers,
    isIdle,
    async stop() {
      await sandbox?.stop();
      for (const task of tasks.all()) await task.container?.remove().catch(() => {});
    },
  };
}

function takeExecSpec(task: Task, execId: string) {
  const spec = task.execSpecs.get(execId);
  task.execSpecs.delete(execId);
  if (spec === undefined) throw shimError("TASK_NOT_FOUND", `exec process ${execId} has no spec`);
  return spec;
}

/** SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM. */
function endsPause(signal: number): boolean {
  return [1, 2, 3, 9, 15].includes(signal);
}

/** The Any's value is JSON, not protobuf: OCI types have no messages. */
function parseJson(value: Uint8Array | undefined, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(value));
  } catch (cause) {
    throw shimError("BAD_ARGUMENTS", `the ${what} is no JSON`, { cause });
  }
}

function notSimulated(what: string) {
  return shimError("NOT_SIMULATED", `${what} is not simulated`);
}
