/** The proxy leg: genuine kubectl → API server → the node agent's kubelet endpoints on host processes. */
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../common/clock.ts";
import { silentLogger } from "../../common/log.ts";
import type { PodDirectory } from "../../simulator/node-api/pod-directory.ts";
import { createNodeApi, type NodeApi } from "../../simulator/node-api/server.ts";
import { kubectlBinary, runProgram } from "../support/kubectl.ts";
import { startApiServer, type TestApiServer, testNodeName } from "../support/start-api-server.ts";
import { createHostRuntime, type HostRuntime } from "./streams-backend.ts";

let api: TestApiServer;
let nodeApi: NodeApi;
let runtime: HostRuntime;
let folder: string;

beforeAll(async () => {
  api = await startApiServer();
  folder = mkdtempSync("/tmp/kh-streams-");
  runtime = createHostRuntime(folder);
  const log = join(folder, "main.log");
  appendFileSync(log, "2026-01-01T00:00:00.000000000Z stdout F first line\n");
  const container = { name: "main", containerId: "c1", logPaths: [log], running: true };
  const waiting = { name: "side", logPaths: [], running: false, waitingReason: "PodInitializing" };
  const pods: PodDirectory = {
    find: (namespace, name) =>
      name === "p1"
        ? { namespace, name, uid: "u", sandboxId: "s", containers: [container, waiting] }
        : undefined,
    list: () => [],
  };
  const { credentials } = api.server;
  nodeApi = await createNodeApi({
    host: "127.0.0.1",
    port: 0,
    tls: {
      ca: credentials.caPem,
      cert: credentials.kubeletServing.certPem,
      key: credentials.kubeletServing.keyPem,
    },
    pods,
    runtime,
    log: silentLogger,
    clock: systemClock,
  });
  await createNode(testNodeName, nodeApi.port);
  await createNode("dead", 1);
  await createPod("p1", testNodeName);
  await createPod("lost", "dead");
  await createPod("nowhere", undefined);
});
afterAll(async () => {
  await nodeApi?.close();
  await runtime?.close();
  await api?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** As the node agent registers itself: addresses of an AKS node, listening on loopback. */
async function createNode(name: string, port: number) {
  const answer = await api.call("/api/v1/nodes", {
    method: "POST",
    body: {
      metadata: { name, annotations: { "katasim.dev/kubelet-address": "127.0.0.1" } },
      status: {
        addresses: [{ type: "InternalIP", address: "10.224.0.4" }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      },
    },
  });
  expect(answer.status).toBe(201);
}

async function createPod(name: string, nodeName: string | undefined) {
  const containers = ["main", "side"].map((container) => ({ name: container, image: "x" }));
  const path = "/api/v1/namespaces/default/pods";
  const created = await api.call(path, {
    method: "POST",
    body: {
      metadata: { name },
      spec: {
        containers,
        ...(nodeName === undefined ? { schedulerName: "none" } : { nodeName }),
      },
    },
  });
  expect(created.status, created.text).toBe(201);
  await api.call(`${path}/${name}/status`, {
    method: "PATCH",
    body: { status: { phase: "Running" } },
    headers: { "content-type": "application/merge-patch+json" },
  });
}

const kubectl = (args: readonly string[], env: NodeJS.ProcessEnv = {}, stdin?: Buffer) =>
  runProgram(kubectlBinary(), [`--kubeconfig=${api.kubeconfig}`, ...args], {
    env: { ...process.env, HOME: folder, ...env },
    ...(stdin === undefined ? {} : { stdin }),
  });

describe.each([
  ["WebSocket", {}],
  [
    "SPDY",
    { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false", KUBECTL_PORT_FORWARD_WEBSOCKETS: "false" },
  ],
])("exec over %s", (_protocol, env) => {
  it("passes output, error output and the exit code", async () => {
    const outcome = await kubectl(
      ["exec", "p1", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 7"],
      env,
    );
    expect(outcome.stdout).toBe("out\n");
    expect(outcome.stderr).toBe("err\ncommand terminated with exit code 7\n");
    expect(outcome.exitCode).toBe(7);
  });

  it("carries 20 MB in, none lost", async () => {
    const bytes = randomBytes(20 * 1024 * 1024);
    const outcome = await kubectl(["exec", "-i", "p1", "-c", "main", "--", "wc", "-c"], env, bytes);
    expect(outcome.stdout.trim()).toBe(String(bytes.length));
  });

  it("passes the node agent's refusal", async () => {
    const outcome = await kubectl(["exec", "p1", "-c", "side", "--", "true"], env);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toMatch(/container not found \("side"\)|not running/);
  });
});

describe("logs", () => {
  it("stream through, and follow", async () => {
    const following = kubectl(["logs", "-f", "p1", "-c", "main"]);
    appendFileSync(
      join(folder, "main.log"),
      "2026-01-01T00:00:01.000000000Z stdout F second line\n",
    );
    runtime.setState("c1", "exited");
    expect((await following).stdout).toBe("first line\nsecond line\n");
    runtime.setState("c1", "running");
  });

  it("pass the options", async () => {
    const outcome = await kubectl(["logs", "p1", "-c", "main", "--tail=1", "--timestamps"]);
    expect(outcome.stdout).toBe("2026-01-01T00:00:01.000000000Z second line\n");
  });

  it("say why there are none yet", async () => {
    const outcome = await kubectl(["logs", "p1", "-c", "side"]);
    expect(outcome.stderr).toBe(
      'Error from server (BadRequest): container "side" in pod "p1" is waiting to start: PodInitializing\n',
    );
  });
});

describe("refusals", () => {
  const upgrade = { connection: "Upgrade", upgrade: "SPDY/3.1" };
  const pods = "/api/v1/namespaces/default/pods";

  it.each([
    [
      "an unnamed container of two",
      `${pods}/p1/log`,
      400,
      "a container name must be specified for pod p1, choose one of: [main side]",
    ],
    [
      "a container that is none",
      `${pods}/p1/log?container=x`,
      400,
      "container x is not valid for pod p1",
    ],
    [
      "a node that does not answer",
      `${pods}/lost/log?container=main`,
      500,
      "dial tcp 127.0.0.1:1: connect: connection refused",
    ],
  ])("of logs: %s", async (_what, path, code, message) => {
    const status = (await api.call(path)).json<{ code: number; message: string }>();
    expect(status).toMatchObject({ kind: "Status", code });
    expect(status.message).toContain(message);
  });

  it("answers empty logs while no node runs the pod", async () => {
    const answer = await api.call(`${pods}/nowhere/log?container=main`);
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });

  it.each([
    [
      "no stream",
      `${pods}/p1/exec?container=main&command=ls`,
      400,
      "you must specify at least 1 of stdin, stdout, stderr",
    ],
    [
      "no host",
      `${pods}/nowhere/exec?container=main&command=ls&stdout=true`,
      400,
      "pod nowhere does not have a host assigned",
    ],
    [
      "a node that does not answer",
      `${pods}/lost/exec?container=main&command=ls&stdout=true`,
      500,
      "error dialing backend: dial tcp 127.0.0.1:1: connect: connection refused",
    ],
    ["a pod that is none", `${pods}/zz/exec?command=ls&stdout=true`, 404, 'pods "zz" not found'],
    ["nothing to upgrade", "/api/v1/namespaces", 404, "could not find the requested resource"],
  ])("of upgrades: %s", async (_what, path, code, message) => {
    const answer = await api.call(path, { method: "POST", headers: upgrade });
    const status = answer.json<{ message: string }>();
    expect(status).toMatchObject({ kind: "Status", code });
    expect(status.message).toContain(message);
  });

  it("of upgrades without a certificate", async () => {
    const path = `${pods}/p1/exec?container=main&command=ls&stdout=true`;
    const answer = await api.call(path, { method: "POST", headers: upgrade, as: null });
    expect(answer.status).toBe(401);
  });
});

describe("the node proxy", () => {
  it("reaches the node agent's own paths", async () => {
    const answer = await api.call(`/api/v1/nodes/${testNodeName}/proxy/healthz`);
    expect([answer.status, answer.text]).toEqual([200, "ok"]);
  });
});
