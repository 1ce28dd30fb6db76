/**
 * Drives a containerd shim as containerd does, without containerd: bundles, FIFOs, `start` and
 * `delete`, ttrpc, and an event server. Cleans up after itself.
 */
import { execFile } from "node:child_process";
import { constants, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { silentLogger } from "../../common/log.ts";
import { Events } from "../../proto/containerd/gen/events_service_pb.js";
import { OptionsSchema } from "../../proto/containerd/gen/runtime_options_pb.js";
import { Task } from "../../proto/containerd/gen/task_pb.js";
import { connectTtrpc, type TtrpcClient } from "../../runtime-shim/ttrpc/client.ts";
import { createTtrpcServer } from "../../runtime-shim/ttrpc/server.ts";

export interface ProcessSpec {
  readonly args: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly terminal?: boolean;
  readonly user?: { readonly uid: number; readonly gid: number };
}

export interface Streams {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  /** All of stdout and stderr so far. */
  text(): string;
  errors(): string;
  /** Resolves when both have ended. */
  readonly ended: Promise<void>;
  write(text: string): void;
  endInput(): void;
}

export interface ShimDriver {
  readonly client: TtrpcClient;
  readonly events: ReadonlyArray<{ readonly topic: string; readonly typeUrl: string }>;
  bundleOf(id: string): string;
  /** Makes the bundle and runs `start`; the first call connects. Answers the address. */
  start(id: string, spec: object): Promise<string>;
  run(id: string, action: string): Promise<{ code: number; stdout: Buffer; stderr: string }>;
  streams(
    name: string,
    options?: { readonly stdin?: boolean; readonly terminal?: boolean },
  ): Streams;
  options(): { readonly typeUrl: string; readonly value: Uint8Array };
  close(): Promise<void>;
}

export interface ShimDriverOptions {
  readonly shim: string;
  /** A short folder of the caller's, removed at the end. */
  readonly folder: string;
  readonly shimOptions: object;
}

export async function createShimDriver(setup: ShimDriverOptions): Promise<ShimDriver> {
  const { shim, folder, shimOptions } = setup;
  const namespace = "katasim-test";
  const events: Array<{ topic: string; typeUrl: string }> = [];
  const server = createTtrpcServer({ log: silentLogger });
  server.serve(Events, {
    forward: async ({ envelope }) => {
      events.push({ topic: envelope?.topic ?? "", typeUrl: envelope?.event?.typeUrl ?? "" });
      return {};
    },
  });
  mkdirSync(folder, { recursive: true });
  const eventsSocket = join(folder, "ev");
  await server.listen(eventsSocket);
  const bundles = new Set<string>();
  const open: Array<() => void> = [];
  let client: TtrpcClient | undefined;

  const bundleOf = (id: string) => join(folder, "b", id);
  const options = () => ({
    typeUrl: "runtimeoptions.v1.Options",
    value: toBinary(
      OptionsSchema,
      create(OptionsSchema, { configBody: Buffer.from(JSON.stringify(shimOptions)) }),
    ),
  });
  const run = (id: string, action: string) =>
    new Promise<{ code: number; stdout: Buffer; stderr: string }>((resolve) => {
      const args = [
        "-namespace",
        namespace,
        "-address",
        "/run/none.sock",
        "-publish-binary",
        "none",
      ];
      const child = execFile(
        shim,
        [...args, "-id", id, "-bundle", bundleOf(id), action],
        {
          cwd: bundleOf(id),
          encoding: "buffer",
          env: { ...process.env, TTRPC_ADDRESS: eventsSocket, MAX_SHIM_VERSION: "2" },
        },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : Number(error.code ?? 1);
          resolve({ code, stdout, stderr: stderr.toString("utf8") });
        },
      );
      child.stdin?.end(action === "start" ? toBinary(AnySchema, create(AnySchema, options())) : "");
    });

  return {
    get client() {
      if (client === undefined) throw new Error("no shim was started");
      return client;
    },
    events,
    bundleOf,
    options,
    run,
    async start(id, spec) {
      mkdirSync(bundleOf(id), { recursive: true, mode: 0o700 });
      bundles.add(id);
      writeFileSync(join(bundleOf(id), "config.json"), JSON.stringify(spec));
      const { code, stdout, stderr } = await run(id, "start");
      if (code !== 0) throw new Error(`start failed: ${stderr}${stdout.toString("utf8")}`);
      if (stderr !== "") throw new Error(`start wrote on stderr: ${stderr}`);
      const address = stdout.toString("utf8");
      client ??= await connectTtrpc(address);
      return address;
    },
    streams(name, { stdin = false, terminal = false } = {}) {
      const path = (suffix: string) => join(folder, `${name}.${suffix}`);
      const output = openReader(path("out"));
      const errors = terminal ? undefined : openReader(path("err"));
      open.push(output.close, () => errors?.close());
      let input: Socket | undefined;
      if (stdin) {
        makeFifo(path("in"));
        const fd = openSync(path("in"), constants.O_RDWR | constants.O_NONBLOCK);
        input = new Socket({ fd, readable: false, writable: true });
        open.push(() => void input?.destroy());
      }
      return {
        stdin: stdin ? path("in") : "",
        stdout: path("out"),
        stderr: terminal ? "" : path("err"),
        text: output.text,
        errors: () => errors?.text() ?? "",
        ended: Promise.all([output.ended, errors?.ended]).then(() => {}),
        write: (text) => void input?.write(text),
        endInput: () => void input?.end(() => input?.destroy()),
      };
    },
    async close() {
      client?.close();
      for (const id of bundles) await run(id, "delete");
      for (const step of open) step();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function makeFifo(path: string): void {
  // Node has no mkfifo(3).
  const { execFileSync } = process.getBuiltinModule("node:child_process");
  execFileSync("mkfifo", [path]);
}

function openReader(path: string) {
  makeFifo(path);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {});
  const ended = new Promise<void>((resolve) => {
    socket.once("end", resolve);
    socket.once("close", resolve);
  });
  return {
    text: () => Buffer.concat(chunks).toString("utf8"),
    ended,
    close: () => void socket.destroy(),
  };
}

/** The task service, for `client.call(task.create, …)`. */
export const task = Task.method;
