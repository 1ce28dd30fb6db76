// Our ttrpc client against our server over a real unix socket.
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { Task } from "../../proto/containerd/gen/task_pb.js";
import { GrpcCode, shimError } from "../../runtime-shim/errors.ts";
import { connectTtrpc, grpcCodeOf, type TtrpcClient } from "../../runtime-shim/ttrpc/client.ts";
import { createFrameDecoder, encodeFrame } from "../../runtime-shim/ttrpc/frames.ts";
import {
  createTtrpcServer,
  type ServiceHandlers,
  type TtrpcServer,
} from "../../runtime-shim/ttrpc/server.ts";

describe("ttrpc", () => {
  let folder: string;
  let path: string;
  let server: TtrpcServer;
  let client: TtrpcClient;
  let release: (status: number) => void;
  let seenMetadata: Readonly<Record<string, string>> = {};

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "katasim-"));
    path = join(folder, "s");
    server = createTtrpcServer({ log: silentLogger });
    const gate = new Promise<number>((resolve) => {
      release = resolve;
    });
    const handlers: Partial<ServiceHandlers<typeof Task>> = {
      wait: async () => ({ exitStatus: await gate }),
      connect: async ({ id }, { metadata }) => {
        seenMetadata = metadata;
        return { shimPid: id.length, version: "x".repeat(id === "long" ? 5 << 20 : 1) };
      },
      kill: async ({ id }) => {
        throw shimError("TASK_NOT_FOUND", `container ${id} not found`);
      },
      state: () => new Promise(() => {}),
    };
    server.serve(Task, handlers as ServiceHandlers<typeof Task>, ["containerd.task.v3.Task"]);
    await server.listen(path);
    client = await connectTtrpc(`unix://${path}`, {
      metadata: { "containerd-namespace-ttrpc": "n" },
    });
  });
  afterEach(async () => {
    client.close();
    await server.close();
    rmSync(folder, { recursive: true });
  });

  it("answers others while a call waits", async () => {
    const waiting = client.call(Task.method.wait, { id: "a" });
    expect((await client.call(Task.method.connect, { id: "abc" })).shimPid).toBe(3);
    release(7);
    expect((await waiting).exitStatus).toBe(7);
  });

  it("carries metadata", async () => {
    await client.call(Task.method.connect, { id: "a" }, { metadata: { more: "1" } });
    expect(seenMetadata).toEqual({ "containerd-namespace-ttrpc": "n", more: "1" });
  });

  it("serves the same methods under a second service name", async () => {
    const options = { service: "containerd.task.v3.Task" };
    expect((await client.call(Task.method.connect, { id: "ab" }, options)).shimPid).toBe(2);
  });

  it("hands over code and words of a refusal", async () => {
    const error = await client.call(Task.method.kill, { id: "zz" }).catch((e: unknown) => e);
    expect(grpcCodeOf(error)).toBe(GrpcCode.notFound);
    expect(String(error)).toContain("container zz not found");
  });

  it("answers Unimplemented for an unknown service and an unknown method", async () => {
    const failures = await Promise.all([
      client.call(Task.method.connect, {}, { service: "no.Such" }).catch(grpcCodeOf),
      client.call(Task.method.pids, {}).catch(grpcCodeOf),
    ]);
    expect(failures).toEqual([GrpcCode.unimplemented, GrpcCode.unimplemented]);
  });

  it("gives up when the deadline passes, on both sides", async () => {
    const error = await client.call(Task.method.state, {}, { timeoutMs: 20 }).catch((e) => e);
    expect(error.code).toMatch(/^TTRPC_(TIMEOUT|STATUS)$/);
    expect((await client.call(Task.method.connect, { id: "a" })).shimPid).toBe(1);
  });

  it("refuses an answer above 4 MiB without losing the connection", async () => {
    await expect(client.call(Task.method.connect, { id: "long" })).rejects.toThrow("longer than");
    expect((await client.call(Task.method.connect, { id: "a" })).shimPid).toBe(1);
  });

  it("rejects what is open when the connection ends", async () => {
    const waiting = client.call(Task.method.wait, { id: "a" });
    client.close();
    await expect(waiting).rejects.toThrow("closed before the answer");
    await expect(client.call(Task.method.wait, {})).rejects.toThrow("closed");
  });

  it("refuses stream ids that are even or do not rise", async () => {
    const socket = createConnection(path);
    const decoder = createFrameDecoder();
    const answers: number[] = [];
    const got = new Promise<void>((resolve) => {
      socket.on("data", (chunk: Buffer) => {
        answers.push(...decoder.push(chunk).map(({ streamId }) => streamId));
        if (answers.length === 2) resolve();
      });
    });
    socket.write(encodeFrame(2, 1, Buffer.alloc(0)));
    socket.write(encodeFrame(5, 1, Buffer.from("no protobuf")));
    await got;
    expect(answers).toEqual([2, 5]);
    socket.destroy();
  });

  it("does not take a live server's socket", async () => {
    const other = createTtrpcServer({ log: silentLogger });
    await expect(other.listen(path)).rejects.toThrow("EADDRINUSE");
  });
});
