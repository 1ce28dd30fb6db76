/**
 * The task service as Kata's Go shim answers it: kata-containers src/runtime/pkg/containerd-shim-v2
 * service.go, create.go, start.go, wait.go, delete.go. Every pid it tells is the VMM's.
 */
import { execFileSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { AnySchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { silentLogger } from "../../../common/log.ts";
import * as events from "../../../proto/containerd/gen/events_pb.js";
import { type CreateTaskRequest, Task } from "../../../proto/containerd/gen/task_pb.js";
import { Status } from "../../../proto/containerd/gen/task_types_pb.js";
import { shimError } from "../../../runtime-shim/errors.ts";
import { createPublisher } from "../../../runtime-shim/service/publisher.ts";
import { createTtrpcServer } from "../../../runtime-shim/ttrpc/server.ts";
import { loadConfiguration, sandboxSize } from "./config.ts";
import { bootGuest, type Guest } from "./guest.ts";
import { containerType, guestProcess, namespacePath, readSpec, type Spec } from "./oci.ts";

interface Process {
  status: Status;
  exit: { readonly exitStatus: number; readonly exitedAtMs: number } | undefined;
  readonly exited: Promise<void>;
  readonly markExited: () => void;
}

interface Container extends Process {
  readonly request: CreateTaskRequest;
  readonly isSandbox: boolean;
  readonly mounted: string | undefined;
  readonly execs: Map<string, Process>;
}

const killed = 9;
const exitCode255 = 255;

export async function serve(options: {
  readonly id: string;
  readonly namespace: string;
  readonly socket: string;
  readonly eventsAddress: string;
  ready(): void;
}): Promise<void> {
  const { id: shimId, namespace } = options;
  const publisher = createPublisher({
    address: options.eventsAddress,
    ...{ namespace, log: silentLogger },
  });
  const containers = new Map<string, Container>();
  let guest: Guest | undefined;
  let teardown: Promise<void> | undefined;

  const container = (id: string) => {
    const found = containers.get(id);
    if (found !== undefined) return found;
    throw shimError("TASK_NOT_FOUND", `container does not exist ${id}: not found`);
  };
  const processOf = ({ id, execId }: { id: string; execId: string }) => {
    const found = execId === "" ? container(id) : container(id).execs.get(execId);
    if (found !== undefined) return found;
    throw shimError("TASK_NOT_FOUND", `exec does not exist ${execId}: not found`);
  };
  const vm = () => {
    if (guest !== undefined) return guest;
    throw new Error("Bug, the sandbox hasn't been created for this container");
  };
  const pid = () => guest?.vmmPid ?? 0;

  /** wait.go: the exit is told first, then the container or the VM is stopped. */
  function reap(id: string, execId: string, exitStatus: number): void {
    const target = processOf({ id, execId });
    if (target.exit !== undefined) return;
    target.exit = { exitStatus, exitedAtMs: Date.now() };
    target.status = Status.STOPPED;
    target.markExited();
    publisher.publish("/tasks/exit", events.TaskExitSchema, {
      ...{ containerId: id, id: execId || id, pid: pid(), exitStatus },
      exitedAt: timestampFromMs(target.exit.exitedAtMs),
    });
    if (execId === "" && container(id).isSandbox) teardown ??= guest?.stop();
  }

  function watch(id: string, execId: string): void {
    vm()
      .tasks.call(Task.method.wait, { id, execId })
      .then(({ exitStatus }) => reap(id, execId, exitStatus))
      .catch(() => reap(id, execId, exitCode255));
  }

  async function createSandbox(spec: Spec, request: CreateTaskRequest): Promise<void> {
    if (guest !== undefined) {
      throw new Error(`cannot create another sandbox in sandbox: ${shimId}`);
    }
    const config = loadConfiguration(request.options);
    const network = namespacePath(spec, "network");
    if (network === "/proc/self/ns/net") {
      throw new Error("Host networking requested, not supported by runtime");
    }
    guest = await bootGuest({
      ...{ sandboxId: request.id, spec, vmm: config.path, size: sandboxSize(config, spec) },
      shmBytes: shmBytes(spec),
      // Dead agent: each waiter fails.
      onDeath() {
        for (const [id, { execs }] of containers) {
          for (const execId of execs.keys()) reap(id, execId, exitCode255);
          reap(id, "", exitCode255);
        }
      },
      onOom: (containerId) =>
        publisher.publish("/tasks/oom", events.TaskOOMSchema, { containerId }),
    });
  }

  const server = createTtrpcServer({ log: silentLogger });
  server.serve(Task, {
    async create(request) {
      if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(request.id)) {
        throw new Error(
          'invalid container/sandbox ID (should match "^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")',
        );
      }
      const spec = readSpec(request.bundle);
      const isSandbox = containerType(spec) !== "container";
      if (isSandbox) await createSandbox(spec, request);
      else if (guest === undefined) {
        throw new Error("BUG: Cannot start the container, since the sandbox hasn't been created");
      }
      const rootfs = join(request.bundle, "rootfs");
      for (const { type, source, options: given } of request.rootfs) {
        execFileSync("mount", ["-t", type, "-o", given.join(","), source, rootfs]);
      }
      const { terminal, stdin, stdout, stderr } = request;
      await vm().createContainer(request.id, spec, rootfs, { terminal, stdin, stdout, stderr });
      containers.set(request.id, {
        ...newProcess(),
        ...{ request, isSandbox, execs: new Map() },
        mounted: request.rootfs.length === 0 ? undefined : rootfs,
      });
      publisher.publish("/tasks/create", events.TaskCreateSchema, {
        ...{ containerId: request.id, bundle: request.bundle, pid: pid() },
        ...{ rootfs: request.rootfs, io: { stdin, stdout, stderr, terminal } },
      });
      return { pid: pid() };
    },
    async start({ id, execId }) {
      const target = processOf({ id, execId });
      try {
        await vm().tasks.call(Task.method.start, { id, execId });
      } catch (error) {
        target.markExited();
        throw execId === "" ? error : new Error(`cannot enter container ${id}, with err ${error}`);
      }
      target.status = Status.RUNNING;
      if (execId === "") {
        publisher.publish("/tasks/start", events.TaskStartSchema, { containerId: id, pid: pid() });
      } else {
        const event = { containerId: id, execId, pid: pid() };
        publisher.publish("/tasks/exec-started", events.TaskExecStartedSchema, event);
      }
      watch(id, execId);
      return { pid: pid() };
    },
    async exec(request) {
      const { id, execId } = request;
      const { execs } = container(id);
      if (execs.has(execId)) throw shimError("TASK_EXISTS", `id ${execId}: already exists`);
      const spec = JSON.parse(Buffer.from(request.spec?.value ?? []).toString()) as object;
      const value = Buffer.from(JSON.stringify(guestProcess(spec)));
      await vm().tasks.call(Task.method.exec, {
        ...request,
        spec: create(AnySchema, { typeUrl: request.spec?.typeUrl ?? "", value }),
      });
      execs.set(execId, newProcess());
      publisher.publish("/tasks/exec-added", events.TaskExecAddedSchema, {
        containerId: id,
        execId,
      });
      return {};
    },
    async delete({ id, execId }) {
      const target = processOf({ id, execId });
      const { tasks } = vm();
      if (execId !== "") {
        await tasks.call(Task.method.delete, { id, execId }).catch(() => {});
        container(id).execs.delete(execId);
      } else {
        // A running container is stopped, not refused.
        if (target.status !== Status.STOPPED && !container(id).isSandbox) {
          await tasks.call(Task.method.kill, { id, signal: killed, all: true }).catch(() => {});
          if (target.status === Status.RUNNING) await target.exited;
        }
        await teardown;
        if (teardown === undefined) await tasks.call(Task.method.delete, { id }).catch(() => {});
        const { mounted } = container(id);
        if (mounted !== undefined) execFileSync("umount", ["-l", mounted]);
        vm().removeContainer(id);
        containers.delete(id);
        publisher.publish("/tasks/delete", events.TaskDeleteSchema, {
          ...{ containerId: id, pid: pid(), exitStatus: target.exit?.exitStatus ?? 0 },
        });
      }
      return { ...exitOf(target), pid: pid() };
    },
    async state({ id, execId }) {
      const target = processOf({ id, execId });
      const { bundle, stdin, stdout, stderr, terminal } = container(id).request;
      return {
        ...{ id: execId || id, bundle, pid: pid(), status: target.status },
        ...{ stdin, stdout, stderr, terminal, ...exitOf(target) },
      };
    },
    async wait({ id, execId }) {
      const target = processOf({ id, execId });
      await target.exited;
      return target.exit === undefined ? { exitStatus: exitCode255 } : exitOf(target);
    },
    async kill(request) {
      const target = processOf(request);
      // A repeated StopPodSandbox is no error.
      if ([9, 15].includes(request.signal) && target.status === Status.STOPPED) return {};
      await vm().tasks.call(Task.method.kill, { ...request, all: request.execId === "" });
      return {};
    },
    async pause({ id }) {
      await vm().tasks.call(Task.method.pause, { id });
      container(id).status = Status.PAUSED;
      return {};
    },
    async resume({ id }) {
      await vm().tasks.call(Task.method.resume, { id });
      container(id).status = Status.RUNNING;
      return {};
    },
    pids: async () => ({ processes: [{ pid: pid() }] }),
    connect: async () => ({ shimPid: process.pid, taskPid: pid() }),
    stats: async ({ id }) => vm().tasks.call(Task.method.stats, { id: container(id).request.id }),
    update: async (request) => vm().tasks.call(Task.method.update, request),
    resizePty: async (request) => vm().tasks.call(Task.method.resizePty, request),
    closeIO: async (request) => vm().tasks.call(Task.method.closeIO, request),
    async checkpoint() {
      throw shimError("NOT_SIMULATED", "service Checkpoint: not implemented");
    },
    async shutdown() {
      if (containers.size > 0) return {};
      await teardown;
      await publisher.flush(1_000);
      setImmediate(() => process.exit(0));
      return {};
    },
  });
  await server.listen(options.socket);
  options.ready();
}

function newProcess(): Process {
  let markExited: () => void = () => undefined;
  const exited = new Promise<void>((resolve) => {
    markExited = resolve;
  });
  return { status: Status.CREATED, exit: undefined, exited, markExited };
}

function exitOf({ exit }: Process) {
  if (exit === undefined) return {};
  return { exitStatus: exit.exitStatus, exitedAt: timestampFromMs(exit.exitedAtMs) };
}

/** getShmSize: as large as what is bound there, or 64 MiB. */
function shmBytes({ mounts = [] }: Spec): number {
  const shm = mounts.find(({ destination }) => destination === "/dev/shm");
  if (shm?.type !== "bind" || shm.source === undefined) return 64 * 1024 * 1024;
  const { bsize, blocks } = statfsSync(shm.source);
  return bsize * blocks;
}
