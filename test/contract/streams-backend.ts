/**
 * A ContainerRuntime whose "containers" are host processes, so that the kubelet endpoints can be driven
 * by genuine clients without a VM. Terminals are real ones, made by script(1).
 */
import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { promisify } from "node:util";
import type {
  ContainerRuntime,
  ContainerState,
  ExecSession,
  RuntimeEvent,
} from "../../simulator/runtime-port.ts";
import { waitUntil } from "../support/wait-until.ts";

export interface HostRuntime extends ContainerRuntime {
  /** Pids of exec'd processes that still run. */
  readonly running: ReadonlySet<number>;
  /** The container's own process, to be attached to: echoes its input in capitals. */
  readonly attachInput: PassThrough;
  setState(containerId: string, state: ContainerState): void;
  /** Ends the container's own process. */
  endContainer(): void;
}

export function createHostRuntime(folder: string): HostRuntime {
  const running = new Set<number>();
  const listeners = new Set<(event: RuntimeEvent) => void>();
  const states = new Map<string, ContainerState>();
  const attachInput = new PassThrough();
  let terminals = 0;
  let endContainer = () => {};
  const containerEnded = new Promise<void>((resolve) => {
    endContainer = resolve;
  });
  const notHere = () => Promise.reject(new Error("not part of this backend"));

  const exec: ContainerRuntime["exec"] = async (_containerId, options) => {
    const [file = "", ...args] = options.command;
    terminals += 1;
    const ttyFile = join(folder, `tty-${terminals}`);
    const quoted = options.command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const child = options.tty
      ? spawn("script", ["-qefc", `tty > ${ttyFile}; exec ${quoted}`, "/dev/null"], {
          detached: true,
        })
      : spawn(file, args, { detached: true });
    await new Promise((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (error) => reject(new Error(`failed to start exec: ${error.message}`)));
    });
    const pid = child.pid as number;
    running.add(pid);
    if (!options.stdin) child.stdin.end();
    const exitCode = new Promise<number>((resolve) => {
      child.once("exit", () => running.delete(pid));
      child.once("close", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? 137 : 143)));
    });
    const session: ExecSession = {
      stdin: options.stdin ? child.stdin : undefined,
      stdout: child.stdout,
      stderr: options.tty ? undefined : child.stderr,
      resize: async (columns, rows) => {
        // The first size may come before the process inside has named its terminal.
        const tty = await waitUntil(
          () => existsSync(ttyFile) && (readFileSync(ttyFile, "utf8").trim() || undefined),
          {
            what: "the terminal's name",
            timeoutMs: 10_000,
            intervalMs: 10,
          },
        );
        await promisify(execFile)("stty", ["-F", tty, "cols", `${columns}`, "rows", `${rows}`]);
      },
      exitCode,
      close: async () => {
        if (!running.has(pid)) return;
        process.kill(-pid, "SIGKILL");
        child.stdout.resume();
        child.stderr.resume();
        await exitCode;
      },
    };
    return session;
  };

  return {
    running,
    attachInput,
    endContainer: () => endContainer(),
    setState: (containerId, state) => {
      states.set(containerId, state);
      if (state !== "exited") return;
      for (const listener of listeners) {
        listener({ type: "containerExited", sandboxId: "sandbox-1", containerId });
      }
    },
    exec,
    attach: async () => {
      const stdout = new PassThrough();
      attachInput.on("data", (chunk: Buffer) => stdout.write(chunk.toString().toUpperCase()));
      stdout.write("attached\n");
      void containerEnded.then(() => stdout.end());
      return {
        stdin: attachInput,
        stdout,
        stderr: undefined,
        resize: async () => {},
        done: containerEnded,
        close: () => stdout.destroy(),
      };
    },
    portForward: (_sandboxId, port) =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
        socket.once("connect", () => resolve(socket));
        socket.once("error", reject);
      }),
    containerStatus: async (id) => ({
      id,
      sandboxId: "sandbox-1",
      name: "main",
      attempt: 0,
      state: states.get(id) ?? "running",
      createdAtMs: 0,
      image: { requested: "", resolved: "", id: "", sizeBytes: 0 },
      logPath: "",
    }),
    usage: async () => [
      {
        containerId: "container-1",
        name: "main",
        cpuUsageNs: 1_500_000_000,
        memoryWorkingSetBytes: 4096,
      },
    ],
    onEvent: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    handlers: notHere,
    runSandbox: notHere,
    sandboxStatus: notHere,
    listSandboxes: notHere,
    stopSandbox: notHere,
    removeSandbox: notHere,
    createContainer: notHere,
    startContainer: notHere,
    stopContainer: notHere,
    removeContainer: notHere,
    listContainers: notHere,
    recover: notHere,
    close: async () => {
      for (const pid of running) process.kill(-pid, "SIGKILL");
    },
  };
}
