/**
 * Nodes over Docker Engine: one of a user who is not root, killed with SIGKILL; and what `down`
 * leaves in the engine.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sweepEngine } from "../../simulator/docker/index.ts";
import type { ContainerStatus, SandboxStatus } from "../../simulator/runtime-port.ts";
import { type Dockerd, dockerdObstacle, startDockerd } from "../support/dockerd.ts";
import { waitUntil } from "../support/wait-until.ts";
import { containerSpec, openTestNode, sandboxSpec, whyNoRunc } from "./node-support/test-node.ts";
import { traces } from "./node-support/traces.ts";

const why = dockerdObstacle() ?? whyNoRunc();
// No user or group of the machine has them.
const [uid, socketGroup] = [47_110, 47_111];
const root = join(import.meta.dirname, "../..");
const bundle = join(root, "node_modules", `.docker-driver-${process.pid}.mjs`);

interface DriverFacts {
  readonly uid: number;
  readonly sandbox: SandboxStatus;
  readonly container: ContainerStatus;
  readonly exec: string;
  readonly closedExec: number;
  readonly forwarded: string;
  readonly usage: number;
}

describe("a node over Docker Engine", () => {
  if (why !== undefined) {
    it.skip(`runs pods (skipped: ${why})`);
    return;
  }
  const home = mkdtempSync("/tmp/rt-");
  const name = `dn${process.pid}`;
  let dockerd: Dockerd;
  const open = () => openTestNode(home, name, { dockerSocket: dockerd.socket });

  beforeAll(async () => {
    await build({
      entryPoints: [join(import.meta.dirname, "node-support/docker-driver.ts")],
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
      outfile: bundle,
      logLevel: "error",
    });
    dockerd = await startDockerd({ group: socketGroup });
    await (await open()).close();
    execFileSync("chown", ["-R", `${uid}:${uid}`, home]);
  });
  afterAll(async () => {
    rmSync(bundle, { force: true });
    const node = await open();
    const { machineName } = node.paths;
    for (const { id } of await node.runtime.listSandboxes()) await node.runtime.removeSandbox(id);
    await node.close();
    await sweepEngine(node.paths);
    expect([...(await traces(name, home)), ...(await dockerd.leftOf(machineName))]).toEqual([]);
    await dockerd.dispose();
    rmSync(home, { recursive: true, force: true });
  });

  it("needs no root, and goes on after SIGKILL without losing or doubling a line", async () => {
    const script =
      "n=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); echo line $n; sleep 0.02; done; exit 5";
    const driver = spawn(
      process.execPath,
      [bundle, home, name, script, dockerd.socket, String(uid), String(socketGroup)],
      // A clone in root's home is closed to others.
      { stdio: ["ignore", "pipe", "inherit"], cwd: "/" },
    );
    const facts = await firstLine(driver);
    expect(facts).toMatchObject({
      uid,
      exec: "0\n",
      closedExec: 137,
      forwarded: "ping",
      usage: 2,
    });
    const gone = new Promise((resolve) => driver.once("exit", resolve));
    driver.kill("SIGKILL");
    await gone;
    const whenKilled = linesOf(facts.container).length;
    const node = await open();
    try {
      expect(await node.runtime.sandboxStatus(facts.sandbox.id)).toEqual(facts.sandbox);
      expect(await node.runtime.containerStatus(facts.container.id)).toEqual(facts.container);
      await waitUntil(() => linesOf(facts.container).length > whenKilled + 20, {
        what: "the log to go on",
      });
      const session = await node.runtime.exec(facts.container.id, {
        command: ["sh", "-c", ": >/tmp/stop"],
        tty: false,
        stdin: false,
      });
      session.stdout.resume();
      session.stderr?.resume();
      await session.exitCode;
      const ended = await waitUntil(
        async () => {
          const status = await node.runtime.containerStatus(facts.container.id);
          return status?.state === "exited" && status;
        },
        { what: "the container's end" },
      );
      expect(ended).toMatchObject({ exitCode: 5, reason: "Error" });
      const lines = linesOf(facts.container);
      expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
    } finally {
      await node.close();
    }
  });

  it("learns of what happened while no node was there", async () => {
    const first = await open();
    const sandbox = await first.runtime.runSandbox("runc", sandboxSpec({ podUid: "alone" }));
    const script = "echo first; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo last; exit 6";
    const spec = containerSpec(first, script, { name: "alone" });
    const { id } = await first.runtime.createContainer(sandbox.id, spec);
    const started = await first.runtime.startContainer(id);
    await first.close();
    execFileSync("sh", ["-c", `: >/proc/${await pidOf(dockerd, id)}/root/tmp/go`]);
    await waitUntil(async () => (await stateOf(dockerd, id)).Status === "exited", {
      what: "the engine to see the end",
    });
    const second = await open();
    try {
      expect(await second.runtime.containerStatus(id)).toMatchObject({
        state: "exited",
        exitCode: 6,
      });
      expect(linesOf(started)).toEqual(["first", "last"]);
      await second.runtime.removeSandbox(sandbox.id);
    } finally {
      await second.close();
    }
  });

  it("refuses what only the simulated node's own network can give", async () => {
    const node = await open();
    try {
      await expect(
        node.runtime.runSandbox("runc", sandboxSpec({ hostNetwork: true })),
      ).rejects.toMatchObject({
        code: "SANDBOX_UNSUPPORTED",
        message: expect.stringMatching(/hostNetwork/),
        hint: expect.stringMatching(/--trusted-runtime shim/),
      });
    } finally {
      await node.close();
    }
  });

  it("makes one network for pods that start side by side", async () => {
    const { paths, close } = await open();
    await close();
    await sweepEngine(paths);
    const node = await open();
    const { machineName } = paths;
    const names = ["one", "two", "three"];
    await Promise.all(
      names.map((podUid) => node.runtime.runSandbox("runc", sandboxSpec({ podUid }))),
    );
    const left = await dockerd.leftOf(machineName);
    expect(left.filter((what) => what.startsWith("network "))).toHaveLength(1);
    await node.close();
    await sweepEngine(node.paths);
    expect(await dockerd.leftOf(machineName)).toEqual([]);
  });

  it("sweeps by label what no node knows any more", async () => {
    const node = await open();
    const { machineName } = node.paths;
    await node.runtime.runSandbox("runc", sandboxSpec({ podUid: "lost" }));
    await node.close();
    expect(await dockerd.leftOf(machineName)).not.toEqual([]);
    await sweepEngine(node.paths);
    expect(await dockerd.leftOf(machineName)).toEqual([]);
    await sweepEngine(node.paths);
  });
});

async function firstLine(driver: ChildProcess): Promise<DriverFacts> {
  if (driver.stdout === null) throw new Error("the driver has no output");
  for await (const line of createInterface({ input: driver.stdout })) return JSON.parse(line);
  throw new Error("the driver ended without a word");
}

function linesOf({ logPath }: ContainerStatus): readonly string[] {
  return readFileSync(logPath, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((entry) => entry.replace(/^\S+ \S+ \S /, ""));
}

interface EngineState {
  readonly Status: string;
  readonly Pid: number;
}

async function stateOf(dockerd: Dockerd, id: string): Promise<EngineState> {
  return ((await dockerd.get(`/containers/${id}/json`)) as { State: EngineState }).State;
}

async function pidOf(dockerd: Dockerd, id: string): Promise<number> {
  return (await stateOf(dockerd, id)).Pid;
}
