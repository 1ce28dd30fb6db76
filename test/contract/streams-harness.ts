/** The kubelet endpoints on host processes behind a front, and the tools the stream suites drive them with. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../common/clock.ts";
import { silentLogger } from "../../common/log.ts";
import type { PodContainer, PodDirectory } from "../../simulator/node-api/pod-directory.ts";
import { createNodeApi, type NodeApi } from "../../simulator/node-api/server.ts";
import { waitUntil } from "../support/wait-until.ts";
import { createHostRuntime, type HostRuntime } from "./streams-backend.ts";
import { createTestPki, type Front, startFront, type TestPki } from "./streams-front.ts";

export const megabyte = 1024 * 1024;

export interface Outcome {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface Harness {
  readonly folder: string;
  readonly kubeconfig: string;
  /** The log of pod p1's container. */
  readonly logPath: string;
  readonly pki: TestPki;
  readonly runtime: HostRuntime;
  readonly nodeApi: NodeApi;
  readonly front: Front;
  /** Of a server that sends back what it gets. */
  readonly echoPort: number;
  environment(extra?: NodeJS.ProcessEnv): NodeJS.ProcessEnv;
  start(
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
  ): ReturnType<typeof spawnPiped>;
  run(
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    input?: Buffer,
  ): Promise<Outcome>;
  /** Kills what was started, then waits until nothing exec'd is left. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const spawnPiped = (command: string, args: readonly string[], env: NodeJS.ProcessEnv) =>
  spawn(command, args, { env, stdio: "pipe" });

export async function startHarness(): Promise<Harness> {
  const folder = mkdtempSync(join(tmpdir(), "streams-"));
  const kubeconfig = join(folder, "kubeconfig");
  const logPath = join(folder, "main.log");
  const containers: Record<string, PodContainer> = {
    p1: { name: "main", containerId: "container-1", logPaths: [logPath], running: true },
    waiting: { name: "main", logPaths: [], running: false, waitingReason: "ContainerCreating" },
  };
  const pods: PodDirectory = {
    find: (namespace, name) => {
      const container = containers[name];
      if (namespace !== "default" || container === undefined) return undefined;
      return { namespace, name, uid: "uid-1", sandboxId: "sandbox-1", containers: [container] };
    },
    list: () => ["p1"].flatMap((name) => pods.find("default", name) ?? []),
  };

  const pki = await createTestPki();
  const runtime = createHostRuntime(folder);
  const nodeApi = await createNodeApi({
    host: "127.0.0.1",
    port: 0,
    tls: { ca: pki.ca, ...pki.server },
    pods,
    runtime,
    log: silentLogger,
    clock: systemClock,
    nodeName: "n",
  });
  const front = await startFront(pki, nodeApi.port);
  const server = `https://127.0.0.1:${front.port}`;
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "t",
      contexts: [{ name: "t", context: { cluster: "t", user: "t", namespace: "default" } }],
      clusters: [{ name: "t", cluster: { server, "insecure-skip-tls-verify": true } }],
      users: [{ name: "t", user: { token: "t" } }],
    }),
  );
  const echo = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));

  const children = new Set<ChildProcess>();
  const start: Harness["start"] = (command, args, env) => {
    const child = spawnPiped(command, args, env);
    children.add(child);
    child.once("close", () => children.delete(child));
    child.stdin.on("error", () => {});
    return child;
  };
  return {
    folder,
    kubeconfig,
    logPath,
    pki,
    runtime,
    nodeApi,
    front,
    echoPort: (echo.address() as AddressInfo).port,
    environment: (extra = {}) => ({
      ...process.env,
      HOME: folder,
      KUBECACHEDIR: join(folder, "cache"),
      KUBECONFIG: kubeconfig,
      ...extra,
    }),
    start,
    run: (command, args, env, input) => {
      const child = start(command, args, env);
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
      child.stdin.end(input);
      return new Promise<Outcome>((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code) =>
          resolve({
            code,
            stdout: Buffer.concat(stdout),
            stderr: Buffer.concat(stderr).toString(),
          }),
        );
      });
    },
    settle: async () => {
      for (const child of children) child.kill("SIGKILL");
      await eventually("exec'd processes end with their clients", () => runtime.running.size === 0);
    },
    close: async () => {
      await front.close();
      await nodeApi.close();
      await runtime.close();
      await new Promise((resolve) => echo.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function eventually<T>(what: string, probe: () => T | undefined | false): Promise<T> {
  return waitUntil(probe, { what, timeoutMs: 20_000, intervalMs: 20 });
}

/** Resolves with the value once it is above zero and stands still for half a second. */
export async function standstill(what: string, measure: () => number): Promise<number> {
  let before = 0;
  await waitUntil(
    () => {
      const now = measure();
      const still = now > 0 && now === before;
      before = now;
      return still;
    },
    { what: `${what} to stand still`, timeoutMs: 20_000, intervalMs: 500 },
  );
  return before;
}

export const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** Sends bytes, half-closes, and resolves with what comes back until the other side ends. */
export function roundTrip(port: number, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const received: Buffer[] = [];
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    socket.on("data", (chunk) => received.push(chunk));
    socket.once("end", () => resolve(Buffer.concat(received)));
    socket.once("error", reject);
    socket.end(bytes);
  });
}

/** Runs `use` while `command port-forward` forwards a free local port. */
export async function withPortForward(
  harness: Harness,
  command: string,
  env: NodeJS.ProcessEnv,
  remotePort: number,
  use: (localPort: number, stderr: () => string) => Promise<void>,
): Promise<void> {
  const child = harness.start(command, ["port-forward", "pod/p1", `:${remotePort}`], env);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk;
  });
  try {
    const localPort = await waitUntil(
      () => /Forwarding from 127\.0\.0\.1:(\d+)/.exec(stdout)?.[1],
      { what: "kubectl to forward", timeoutMs: 20_000, intervalMs: 20, describe: () => stderr },
    );
    await use(Number(localPort), () => stderr);
  } finally {
    child.kill();
  }
}
