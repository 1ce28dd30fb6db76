/** The Task service of one shim (containerd api/runtime/task/v2/shim.proto) as plain verbs. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Any, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { isSimError, messageOf } from "../../common/errors.ts";
import {
  type CreateTaskRequestSchema,
  type ExecProcessRequestSchema,
  Task,
} from "../../proto/containerd/gen/task_pb.js";
import { Status } from "../../proto/containerd/gen/task_types_pb.js";
import { connectTtrpc, grpcCodeOf } from "../../runtime-shim/index.ts";

export interface TaskExit {
  readonly exitCode: number;
  readonly exitedAtMs: number | undefined;
}

export type TaskState =
  | { readonly status: "created" | "running" | "missing"; readonly pid: number }
  | ({ readonly status: "stopped"; readonly pid: number } & TaskExit);

/** Names a container's first process, or one of its execs. */
export interface ProcessId {
  readonly id: string;
  readonly execId?: string;
}

export interface ShimTasks {
  create(
    request: MessageInitShape<typeof CreateTaskRequestSchema>,
    signal?: AbortSignal,
  ): Promise<number>;
  start(process: ProcessId): Promise<number>;
  exec(request: MessageInitShape<typeof ExecProcessRequestSchema>): Promise<void>;
  state(process: ProcessId): Promise<TaskState>;
  /** Answers when the process has ended, or at once when it ended before. */
  wait(process: ProcessId): Promise<TaskExit>;
  /** Succeeds when the process is already gone. */
  kill(process: ProcessId, signal: number, all?: boolean): Promise<void>;
  delete(process: ProcessId): Promise<void>;
  resize(process: ProcessId, columns: number, rows: number): Promise<void>;
  closeStdin(process: ProcessId): Promise<void>;
  stats(id: string): Promise<Any | undefined>;
  shimPid(id: string): Promise<number>;
  shutdown(id: string): Promise<void>;
  readonly closed: Promise<void>;
  close(): void;
}

// Create boots a VM: seconds with KVM, up to a minute in software on a loaded machine.
const createTimeoutMs = 180_000;
const startTimeoutMs = 60_000;
const callTimeoutMs = 15_000;
// Delete waits for the output to be copied and unmounts.
const deleteTimeoutMs = 30_000;
// containerd's own limit for Shutdown.
const shutdownTimeoutMs = 3_000;
const notFound = 5;
// runtime-rs answers every failure with "unknown" and its own words (crates/runtimes/common/src/error.rs).
const rustNotFound = /\b(?:ContainerNotFound|ProcessNotFound)\(/;

export async function connectShim(address: string, namespace: string): Promise<ShimTasks> {
  const client = await connectTtrpc(address, {
    metadata: { "containerd-namespace-ttrpc": namespace },
  });
  const soon = { timeoutMs: callTimeoutMs };
  const { method } = Task;
  const ids = ({ id, execId }: ProcessId) => ({ id, execId: execId ?? "" });
  const exitOf = (answer: { exitStatus: number; exitedAt?: Timestamp | undefined }): TaskExit => ({
    exitCode: answer.exitStatus,
    exitedAtMs: answer.exitedAt === undefined ? undefined : timestampMs(answer.exitedAt),
  });
  return {
    async create(request, signal) {
      const options = { timeoutMs: createTimeoutMs, ...(signal === undefined ? {} : { signal }) };
      return (await client.call(method.create, request, options)).pid;
    },
    async start(process) {
      return (await client.call(method.start, ids(process), { timeoutMs: startTimeoutMs })).pid;
    },
    async exec(request) {
      await client.call(method.exec, request, soon);
    },
    async state(process) {
      try {
        const answer = await client.call(method.state, ids(process), soon);
        if (answer.status === Status.STOPPED) {
          return { status: "stopped", pid: answer.pid, ...exitOf(answer) };
        }
        return {
          status: answer.status === Status.CREATED ? "created" : "running",
          pid: answer.pid,
        };
      } catch (error) {
        if (isNotFound(error)) return { status: "missing", pid: 0 };
        throw error;
      }
    },
    async wait(process) {
      return exitOf(await client.call(method.wait, ids(process)));
    },
    async kill(process, signal, all = false) {
      try {
        await client.call(method.kill, { ...ids(process), signal, all }, soon);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
    async delete(process) {
      try {
        await client.call(method.delete, ids(process), { timeoutMs: deleteTimeoutMs });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
    async resize(process, columns, rows) {
      await client.call(method.resizePty, { ...ids(process), width: columns, height: rows }, soon);
    },
    async closeStdin(process) {
      await client.call(method.closeIO, { ...ids(process), stdin: true }, soon);
    },
    async stats(id) {
      return (await client.call(method.stats, { id }, soon)).stats;
    },
    async shimPid(id) {
      return (await client.call(method.connect, { id }, soon)).shimPid;
    },
    async shutdown(id) {
      await client.call(method.shutdown, { id }, { timeoutMs: shutdownTimeoutMs });
    },
    closed: client.closed,
    close: () => client.close(),
  };
}

function isNotFound(error: unknown): boolean {
  return grpcCodeOf(error) === notFound || rustNotFound.test(messageOf(error));
}

/** containerd adds the class of a shim's error to its text (errdefs.FromGRPC). */
const errorClasses: Readonly<Record<number, string>> = {
  2: "unknown",
  3: "invalid argument",
  5: "not found",
  6: "already exists",
  9: "failed precondition",
  12: "not implemented",
  14: "unavailable",
};

export function shimErrorText(error: unknown): string {
  const code = grpcCodeOf(error);
  const text = messageOf(error).trim();
  const name = code === undefined ? undefined : errorClasses[code];
  return name === undefined || text.endsWith(`: ${name}`) ? text : `${text}: ${name}`;
}

/** Whether the connection ended under the call. */
export function isConnectionLost(error: unknown): boolean {
  return isSimError(error) && error.code === "TTRPC_CLOSED";
}
