/**
 * The adapter with genuine Kata, wherever its shim, its configuration and an accelerator are found:
 * .github/workflows/kata.yml. kata-shim.test.ts plays the shim where there is none. Needs root.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assessKata, problemText, proveByLadder } from "../../simulator/runtime/index.ts";
import { genuineKata } from "../../simulator/runtime/kata/choice.ts";
import type { SandboxStatus } from "../../simulator/runtime-port.ts";
import { waitUntil } from "../support/wait-until.ts";
import {
  containerSpec,
  openTestNode,
  sandboxSpec,
  type TestNode,
  whyNoRunc,
} from "./node-support/test-node.ts";
import { traces } from "./node-support/traces.ts";

const home = mkdtempSync("/tmp/kg-");
const { problems } = await assessKata({
  wanted: { hypervisor: "auto", accel: "auto", require: "any" },
  prove: proveByLadder(join(home, "probe")),
});
const why = whyNoRunc() ?? (problems.length > 0 ? problemText(problems) : undefined);
const skipped = why === undefined ? "" : ` (skipped: ${why})`;
if (why !== undefined) {
  console.warn(`skipped: genuine Kata cannot run here: ${why}`);
  rmSync(home, { recursive: true, force: true });
}
const mib = 1024 * 1024;

describe.skipIf(why !== undefined)(`handler kata on genuine Kata${skipped}`, () => {
  const name = `kg${process.pid}`;
  let node: TestNode;
  let pod: SandboxStatus;

  beforeAll(async () => {
    node = await openTestNode(home, name, { handlers: [genuineKata()] });
    const resources = { cpuQuotaUs: 100_000, cpuPeriodUs: 100_000, memoryBytes: 512 * mib };
    pod = await node.runtime.runSandbox("kata", sandboxSpec({ resources }));
  }, 180_000);
  afterAll(async () => {
    for (const sandbox of (await node?.runtime.listSandboxes()) ?? []) {
      await node.runtime.removeSandbox(sandbox.id);
    }
    await node?.network.destroy();
    await node?.close();
    expect(await traces(name, home)).toEqual([]);
    expect(existsSync(`/run/kata-containers/shared/sandboxes/${pod?.id}`)).toBe(false);
    rmSync(home, { recursive: true, force: true });
  }, 180_000);

  const start = async (container: string, script: string) => {
    const spec = containerSpec(node, script, {
      name: container,
      resources: { cpuQuotaUs: 100_000, cpuPeriodUs: 100_000, memoryBytes: 512 * mib },
    });
    const { id } = await node.runtime.createContainer(pod.id, spec);
    return node.runtime.startContainer(id);
  };
  const exec = async (id: string, command: string[]) => {
    const session = await node.runtime.exec(id, { command, tty: false, stdin: false });
    const [out] = await Promise.all([
      text(session.stdout),
      session.stderr === undefined ? "" : text(session.stderr),
    ]);
    return { out, code: await session.exitCode };
  };

  it("runs a container under a kernel of its own, with its output and exit code", async () => {
    const container = await start("kernel", "cat /proc/sys/kernel/osrelease; exit 7");
    const status = await waitUntil(
      async () => {
        const seen = await node.runtime.containerStatus(container.id);
        return seen?.state === "exited" && seen;
      },
      { what: "the container's end" },
    );
    expect(status.exitCode).toBe(7);
    const kernel = /stdout F (\S+)/.exec(readFileSync(container.logPath, "utf8"))?.[1];
    expect(kernel).toBeDefined();
    expect(kernel).not.toBe(release());
  });

  it("has the size that katasim reads out of Kata's configuration", async () => {
    const { id } = await start("size", "exec sleep 1000");
    const cpus = (await exec(id, ["cat", "/proc/cpuinfo"])).out.match(/^processor/gm)?.length;
    const total = (await exec(id, ["cat", "/proc/meminfo"])).out;
    const totalMib = Number(/MemTotal:\s+(\d+)/.exec(total)?.[1]) / 1024;
    const { vcpus = 0, memoryMib = 0 } = pod.vm ?? {};
    expect(cpus).toBeGreaterThanOrEqual(vcpus);
    // The guest's kernel keeps a part of it.
    expect(totalMib).toBeGreaterThan(memoryMib * 0.8);
    expect((await exec(id, ["sh", "-c", "exit 3"])).code).toBe(3);
    const usage = await node.runtime.usage(pod.id);
    expect(usage.find(({ containerId }) => containerId === id)).toBeDefined();
    await node.runtime.stopContainer(id, 0);
  });

  it("ends with its VM", async () => {
    await node.runtime.removeSandbox(pod.id);
    expect(existsSync(`/proc/${pod.vm?.pid}`)).toBe(false);
  });
});
