/** Logs under kubectl, the JavaScript client, a raw WebSocket and plain requests to the kubelet endpoints. */
import { randomBytes } from "node:crypto";
import { appendFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { PassThrough, Writable } from "node:stream";
import { Exec, KubeConfig, PortForward, type V1Status } from "@kubernetes/client-node";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { createTestPki } from "./streams-front.ts";
import {
  digest,
  eventually,
  type Harness,
  megabyte,
  standstill,
  startHarness,
} from "./streams-harness.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
});
afterEach(() => harness.settle());
afterAll(() => harness?.close());

describe("kubectl logs", () => {
  const kubectl = (...args: string[]) =>
    harness.run("kubectl", ["logs", ...args], harness.environment());
  const line = (index: number) =>
    `2026-01-02T03:04:${String(index % 60).padStart(2, "0")}.000000001Z stdout F line ${index}\n`;

  it("prints, tails, limits and stamps", async () => {
    writeFileSync(
      harness.logPath,
      Array.from({ length: 50_000 }, (_, index) => line(index)).join(""),
    );
    expect((await kubectl("p1")).stdout.toString().split("\n")).toHaveLength(50_001);
    expect((await kubectl("p1", "--tail=2")).stdout.toString()).toBe("line 49998\nline 49999\n");
    expect((await kubectl("p1", "--limit-bytes=9")).stdout.toString()).toBe("line 0\nli");
    expect((await kubectl("p1", "--tail=1", "--timestamps")).stdout.toString()).toBe(
      "2026-01-02T03:04:19.000000001Z line 49999\n",
    );
  });

  it("follows until the container ends", async () => {
    writeFileSync(harness.logPath, line(1));
    harness.runtime.setState("container-1", "running");
    const following = kubectl("-f", "p1");
    for (let index = 2; index < 30; index += 1) {
      appendFileSync(harness.logPath, line(index));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    harness.runtime.setState("container-1", "exited");
    const expected = Array.from({ length: 29 }, (_, index) => `line ${index + 1}\n`).join("");
    expect((await following).stdout.toString()).toBe(expected);
    harness.runtime.setState("container-1", "running");
  });

  it("says why there is nothing to read", async () => {
    const waiting = await kubectl("waiting");
    expect(waiting.stderr).toBe(
      'Error from server (BadRequest): container "main" in pod "waiting" is waiting to start: ContainerCreating\n',
    );
    expect((await kubectl("p1", "--previous")).stderr).toBe(
      'Error from server (BadRequest): previous terminated container "main" in pod "p1" not found\n',
    );
  });
});

describe("the JavaScript client", () => {
  const config = () => {
    const kubeConfig = new KubeConfig();
    kubeConfig.loadFromFile(harness.kubeconfig);
    return kubeConfig;
  };
  const collect = () => {
    const chunks: Buffer[] = [];
    const sink = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        chunks.push(chunk);
        done();
      },
    });
    return { sink, bytes: () => Buffer.concat(chunks) };
  };

  it("runs a command with input over version 5 and reads its exit code", async () => {
    const out = collect();
    const err = collect();
    const bytes = randomBytes(3 * megabyte);
    const input = new PassThrough();
    const status = await new Promise<V1Status>((resolve, reject) => {
      new Exec(config())
        .exec(
          "default",
          "p1",
          "main",
          ["sh", "-c", "cat; exit 7"],
          out.sink,
          err.sink,
          input,
          false,
          resolve,
        )
        .then(() => input.end(bytes), reject);
    });
    expect(digest(out.bytes())).toBe(digest(bytes));
    expect(status.reason).toBe("NonZeroExitCode");
    expect(status.details?.causes).toEqual([{ reason: "ExitCode", message: "7" }]);
  });

  it("forwards a port over version 4 channels", async () => {
    const out = collect();
    const input = new PassThrough();
    const bytes = randomBytes(3 * megabyte);
    const socket = (await new PortForward(config()).portForward(
      "default",
      "p1",
      [harness.echoPort],
      out.sink,
      null,
      input,
    )) as unknown as WebSocket;
    input.write(bytes);
    await eventually("all came back", () => out.bytes().length === bytes.length);
    expect(digest(out.bytes())).toBe(digest(bytes));
    socket.close();
  });
});

describe("a raw WebSocket client", () => {
  const open = (path: string, protocols: string[]) =>
    new WebSocket(`wss://127.0.0.1:${harness.nodeApi.port}${path}`, protocols, {
      ca: harness.pki.ca,
      ...harness.pki.client,
    });

  it("gets all output, then the status, then close 1000, on version 4", async () => {
    const socket = open(
      "/exec/default/p1/uid-1/main?command=sh&command=-c&command=echo+a;echo+b+>%262;exit+7&output=1&error=1",
      ["v4.channel.k8s.io"],
    );
    const messages: Buffer[] = [];
    socket.on("message", (data: Buffer) => messages.push(data));
    const code = await new Promise((resolve) => socket.once("close", resolve));
    expect(code).toBe(1000);
    expect(messages[0]).toEqual(Buffer.from([1]));
    expect(messages.slice(1, -1).map(String).sort()).toEqual(["\x01a\n", "\x02b\n"]);
    expect(messages.at(-1)?.[0]).toBe(3);
    expect(JSON.parse(String(messages.at(-1)?.subarray(1)))).toMatchObject({
      metadata: {},
      status: "Failure",
      reason: "NonZeroExitCode",
    });
  });

  it("ends the command of a version 4 client that closes", async () => {
    const socket = open("/exec/default/p1/main?command=cat&input=1&output=1", [
      "v4.channel.k8s.io",
    ]);
    await new Promise((resolve) => socket.once("open", resolve));
    await eventually("the command runs", () => harness.runtime.running.size === 1);
    socket.close();
    await eventually("the command ends", () => harness.runtime.running.size === 0);
  });

  it("is missed while it is made to wait, and its command ended", async () => {
    const socket = open("/exec/default/p1/main?command=sleep&command=1000&input=1&output=1", [
      "v5.channel.k8s.io",
    ]);
    await new Promise((resolve) => socket.once("open", resolve));
    const message = Buffer.concat([Buffer.from([0]), randomBytes(megabyte)]);
    for (let count = 0; count < 32; count += 1) socket.send(message);
    await standstill("sending", () => socket.bufferedAmount);
    await eventually("the command runs", () => harness.runtime.running.size === 1);
    socket.terminate();
    await eventually("the command ends", () => harness.runtime.running.size === 0);
  });

  it.each([
    ["/exec/default/p1/other?command=ls&output=1", 500],
    ["/exec/default/nope/main?command=ls&output=1", 404],
    ["/exec/default/p1/main?output=1", 400],
    ["/exec/default/p1/main?command=ls", 400],
    ["/portForward/default/p1?port=0", 400],
  ])("is refused %s with %d", async (path, statusCode) => {
    const socket = open(path, ["v4.channel.k8s.io"]);
    socket.on("error", () => {});
    const response = await new Promise<IncomingMessage>((resolve) =>
      socket.once("unexpected-response", (_request, answer) => resolve(answer)),
    );
    expect(response.statusCode).toBe(statusCode);
  });
});

describe("plain requests", () => {
  const get = (path: string, credentials: object = harness.pki.client) =>
    new Promise<{ statusCode: number | undefined; body: string }>((resolve, reject) => {
      const options = {
        host: "127.0.0.1",
        port: harness.nodeApi.port,
        path,
        ca: harness.pki.ca,
        ...credentials,
      };
      httpsRequest({ ...options, agent: false }, (answer) => {
        let body = "";
        answer.on("data", (chunk) => {
          body += chunk;
        });
        answer.once("end", () => resolve({ statusCode: answer.statusCode, body }));
      })
        .once("error", reject)
        .end();
    });

  it("are refused without a client certificate, upgrades too", async () => {
    expect((await get("/healthz", {})).statusCode).toBe(401);
    const socket = new WebSocket(
      `wss://127.0.0.1:${harness.nodeApi.port}/exec/default/p1/main?command=ls&output=1`,
      ["v4.channel.k8s.io"],
      { ca: harness.pki.ca },
    );
    socket.on("error", () => {});
    const refused = await new Promise<IncomingMessage>((resolve) =>
      socket.once("unexpected-response", (_request, answer) => resolve(answer)),
    );
    expect(refused.statusCode).toBe(401);
  });

  it("are refused with a certificate of another authority or of another use", async () => {
    const stranger = await createTestPki();
    expect((await get("/healthz", stranger.client)).statusCode).toBe(401);
    expect((await get("/healthz", harness.pki.server)).statusCode).toBe(401);
  });

  it("answer health, pods and figures", async () => {
    expect(await get("/healthz")).toEqual({ statusCode: 200, body: "ok" });
    expect(JSON.parse((await get("/pods")).body).kind).toBe("PodList");
    expect((await get("/metrics/resource")).body).toMatch(
      /^container_cpu_usage_seconds_total\{container="main",namespace="default",pod="p1"\} 1\.5 \d+$/m,
    );
    expect(JSON.parse((await get("/stats/summary")).body).pods[0].memory.workingSetBytes).toBe(
      4096,
    );
    expect((await get("/nope")).statusCode).toBe(404);
  });
});

describe("closing the node API", () => {
  it("ends the sessions and what they run, and twice is fine", async () => {
    const other = await startHarness();
    const socket = new WebSocket(
      `wss://127.0.0.1:${other.nodeApi.port}/exec/default/p1/main?command=sleep&command=1000&output=1`,
      ["v5.channel.k8s.io"],
      { ca: other.pki.ca, ...other.pki.client },
    );
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.once("close", resolve));
    await eventually("the command runs", () => other.runtime.running.size === 1);
    await Promise.all([other.nodeApi.close(), other.nodeApi.close()]);
    expect(other.runtime.running.size).toBe(0);
    await closed;
    await other.close();
  });
});
