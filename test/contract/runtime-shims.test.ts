/** What only shims can do to a sandbox: being killed, and serving handlers of VMs. Needs root. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRuntimeRecords } from "../../simulator/runtime/index.ts";
import { waitUntil } from "../support/wait-until.ts";
import {
  containerSpec,
  openTestNode,
  sandboxSpec,
  type TestNode,
  whyNoRunc,
} from "./node-support/test-node.ts";
import { traces } from "./node-support/traces.ts";

const why = whyNoRunc();
if (why !== undefined) console.warn(`skipped: runc containers cannot run here: ${why}`);

describe.skipIf(why !== undefined)("shims of the node", () => {
  const home = mkdtempSync("/tmp/rt-");
  const name = `rs${process.pid}`;
  let node: TestNode;

  beforeAll(async () => {
    node = await openTestNode(home, name);
  });
  afterAll(async () => {
    await node?.network.destroy();
    await node?.close();
    expect(await traces(name, home)).toEqual([]);
    rmSync(home, { recursive: true, force: true });
  });

  it("report a killed shim as the containers' and the sandbox's true end", async () => {
    const { runtime } = node;
    const sandbox = await runtime.runSandbox("runc", sandboxSpec({ podUid: "doomed" }));
    const { id } = await runtime.createContainer(sandbox.id, containerSpec(node, "sleep 1000"));
    await runtime.startContainer(id);
    const shimPid = readShimPid(node, sandbox.id);
    process.kill(shimPid, "SIGKILL");
    const ended = await waitUntil(
      async () => {
        const status = await runtime.containerStatus(id);
        return status?.state === "exited" && status;
      },
      { what: "the container's end" },
    );
    const reason = `the shim (pid ${shimPid}) was killed`;
    expect(ended).toMatchObject({ exitCode: 137, reason: "Error", message: reason });
    await waitUntil(async () => (await runtime.sandboxStatus(sandbox.id))?.state === "notready", {
      what: "the sandbox's end",
    });
    expect(await runtime.sandboxStatus(sandbox.id)).toMatchObject({ state: "notready", reason });
    await runtime.stopSandbox(sandbox.id);
    await runtime.removeSandbox(sandbox.id);
    expect(existsSync(join(node.paths.sandboxes, sandbox.id))).toBe(false);
  });

  it("say which handlers are usable and why not", async () => {
    const handlers = await node.runtime.handlers();
    expect(handlers.find((handler) => handler.name === "kata-vm-isolation")).toMatchObject({
      usable: false,
      sandboxed: true,
      sizingProfile: "aks-ga",
    });
  });
});

function readShimPid(node: TestNode, sandboxId: string): number {
  const records = openRuntimeRecords(node.paths.database);
  try {
    return records.sandboxes().find(({ id }) => id === sandboxId)?.shimPid ?? Number.NaN;
  } finally {
    records.close();
  }
}
