/** A node process is killed with SIGKILL while its pod runs; another one takes over. Needs root. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolvePaths } from "../../common/paths.ts";
import { openRuntimeRecords } from "../../simulator/runtime/records.ts";
import type { ContainerStatus, SandboxStatus } from "../../simulator/runtime-port.ts";
import { openTestNode, type TestNode, whyNoRunc } from "./node-support/test-node.ts";
import { traces } from "./node-support/traces.ts";

const why = whyNoRunc();
if (why !== undefined) console.warn(`skipped: runc containers cannot run here: ${why}`);

const root = join(import.meta.dirname, "../..");
// Inside the project, so that the bundle finds the packages it does not contain.
const bundle = join(root, "node_modules", `.node-driver-${process.pid}.mjs`);

interface Pod {
  readonly sandbox: SandboxStatus;
  readonly container: ContainerStatus;
}

describe.skipIf(why !== undefined)("a node killed with SIGKILL", () => {
  const homes: Array<{ home: string; name: string }> = [];
  let nodes = 0;

  beforeAll(async () => {
    await build({
      entryPoints: [join(import.meta.dirname, "node-support/node-driver.ts")],
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
      outfile: bundle,
      logLevel: "error",
    });
  });
  afterAll(async () => {
    rmSync(bundle, { force: true });
    for (const { home, name } of homes) {
      const node = await openTestNode(home, name);
      for (const { id } of await node.runtime.listSandboxes()) await node.runtime.removeSandbox(id);
      await node.network.destroy();
      await node.close();
      expect(await traces(name, home)).toEqual([]);
      rmSync(home, { recursive: true, force: true });
    }
  });

  /** Starts a pod in another process and kills that process. */
  async function killedNode(script: string, beforeKill?: (pod: Pod) => Promise<void>) {
    const home = mkdtempSync("/tmp/rt-");
    const name = `rr${process.pid}x${nodes++}`;
    homes.push({ home, name });
    mkdirSync(home, { recursive: true });
    const driver = spawn(process.execPath, [bundle, home, name, script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pod = await firstLine(driver);
    await beforeKill?.(pod);
    const gone = new Promise((resolve) => driver.once("exit", resolve));
    driver.kill("SIGKILL");
    await gone;
    return { home, name, pod };
  }

  it("leaves its pod running, and the next one goes on with status, log, exec and exit", async () => {
    const script =
      "n=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); echo line $n; sleep 0.01; done; exit 5";
    const { home, name, pod } = await killedNode(script, async ({ container }) => {
      while (linesOf(container).length < 20) await tick();
    });
    const node = await openTestNode(home, name);
    try {
      expect(await node.runtime.sandboxStatus(pod.sandbox.id)).toEqual(pod.sandbox);
      expect(await node.runtime.containerStatus(pod.container.id)).toEqual(pod.container);
      const before = linesOf(pod.container).length;
      while (linesOf(pod.container).length < before + 20) await tick();
      const session = await node.runtime.exec(pod.container.id, {
        command: ["sh", "-c", "echo from exec; : >/tmp/stop"],
        tty: false,
        stdin: false,
      });
      session.stderr?.resume();
      expect(await text(session.stdout)).toBe("from exec\n");
      expect(await session.exitCode).toBe(0);
      expect(await exitOf(node, pod.container.id)).toMatchObject({ exitCode: 5, reason: "Error" });
      const lines = linesOf(pod.container);
      expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
    } finally {
      await node.close();
    }
  });

  it("learns of an exit that happened while no node was there", async () => {
    const script = "echo first words; while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 6";
    const { home, name, pod } = await killedNode(script, async ({ container }) => {
      while (linesOf(container).length === 0) await tick();
    });
    writeFileSync(join("/proc", String(processOf(pod.container.id)), "root/tmp/go"), "");
    while (!Number.isNaN(processOf(pod.container.id))) await tick();
    const node = await openTestNode(home, name);
    try {
      expect(await exitOf(node, pod.container.id)).toMatchObject({ exitCode: 6 });
      expect(linesOf(pod.container)).toEqual(["first words"]);
    } finally {
      await node.close();
    }
  });

  it("learns that the shim was killed while no node was there", async () => {
    const { home, name, pod } = await killedNode("exec sleep 1000");
    const shimPid = pidOfShim(pod.sandbox.id);
    process.kill(shimPid, "SIGKILL");
    const node = await openTestNode(home, name);
    try {
      const reason = `the shim (pid ${shimPid}) was killed`;
      expect(await exitOf(node, pod.container.id)).toMatchObject({
        exitCode: 137,
        message: reason,
      });
      expect(await node.runtime.sandboxStatus(pod.sandbox.id)).toMatchObject({
        state: "notready",
        reason,
      });
    } finally {
      await node.close();
    }
  });

  it("comes up when the shim was killed between a container's Create and Start", async () => {
    const { home, name, pod } = await killedNode("exec sleep 1000");
    process.kill(pidOfShim(pod.sandbox.id), "SIGKILL");
    // What the record says while Create and Start are under way.
    const records = openRuntimeRecords(resolvePaths({ name, home, env: {} }).database);
    const [record] = records.containers();
    if (record === undefined) throw new Error("no container was recorded");
    records.putContainer({ ...record, state: "created", inShim: true });
    records.close();
    const node = await openTestNode(home, name);
    try {
      expect(await node.runtime.sandboxStatus(pod.sandbox.id)).toMatchObject({ state: "notready" });
      expect(await node.runtime.containerStatus(pod.container.id)).toMatchObject({
        state: "created",
      });
      await node.runtime.removeContainer(pod.container.id);
    } finally {
      await node.close();
    }
  });
});

async function firstLine(driver: ChildProcess): Promise<Pod> {
  if (driver.stdout === null) throw new Error("the driver has no output");
  for await (const line of createInterface({ input: driver.stdout }))
    return JSON.parse(line) as Pod;
  throw new Error("the driver ended without a pod");
}

function linesOf({ logPath }: ContainerStatus): readonly string[] {
  const joined = readFileSync(logPath, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((entry) => /^\S+ \S+ ([FP]) (.*)$/.exec(entry))
    .map((match) => (match?.[1] === "P" ? `${match[2]}` : `${match?.[2]}\n`))
    .join("");
  return joined.split("\n").slice(0, -1);
}

async function exitOf(node: TestNode, id: string): Promise<ContainerStatus> {
  for (;;) {
    const status = await node.runtime.containerStatus(id);
    if (status?.state === "exited") return status;
    await tick();
  }
}

/** Some process of the container by its cgroup; no runtime is asked. NaN when none is left. */
function processOf(containerId: string): number {
  const found = execFileSync("sh", ["-c", `grep -ls ${containerId} /proc/[0-9]*/cgroup || true`], {
    encoding: "utf8",
  });
  return Number(found.split("/")[2] ?? Number.NaN);
}

function pidOfShim(sandboxId: string): number {
  const found = execFileSync(
    "sh",
    ["-c", `grep -ls -e '-id.${sandboxId}' -a /proc/[0-9]*/cmdline`],
    {
      encoding: "utf8",
    },
  );
  return Number(found.split("/")[2]);
}

const tick = () => new Promise((resolve) => setTimeout(resolve, 20));
