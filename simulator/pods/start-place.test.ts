// Whose turn it is to start a sandbox, and what those who wait are told.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Container } from "../../proto/kubernetes/gen/types.ts";
import { type AgentScene, createAgentScene } from "../../test/fakes/agent-scene.ts";

const app: Container = { name: "app", image: "app:1" };
const untrusted = { containers: [app], runtimeClassName: "kata-mshv-vm-isolation" };
const runtimeClasses = { groupVersion: "apis/node.k8s.io/v1", plural: "runtimeclasses" };

let scene: AgentScene;
let release: () => void;
beforeEach(async () => {
  scene = await createAgentScene({ parallelStarts: 2 });
  const name = "kata-mshv-vm-isolation";
  await scene.cluster.create(runtimeClasses, { metadata: { name }, handler: name } as never);
  release = scene.runtime.holdSandboxes();
});
afterEach(() => {
  release();
  return scene.dispose();
});

const starts = () => scene.runtime.calls.filter((call) => call.startsWith("runSandbox"));
const waiting = async () => (await scene.agent.facts()).starts.sandboxed.waiting;
const messageOf = (name: string) =>
  scene.cluster.pod(name)?.status?.containerStatuses?.[0]?.state?.waiting?.message;

/** One after the other, so that their order is known. */
async function addPods(...names: string[]) {
  for (const name of names) {
    const { inside, waiting: before } = (await scene.agent.facts()).starts.sandboxed;
    scene.cluster.addPod(name, untrusted);
    for (;;) {
      const now = (await scene.agent.facts()).starts.sandboxed;
      if (now.inside + now.waiting > inside + before) break;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

describe("sandboxes that start together", () => {
  it("start two at a time, in the order they came, and all of them in the end", async () => {
    await addPods("a", "b", "c", "d");
    await scene.until(() => starts().length === 2);
    expect(await waiting()).toBe(2);
    release();
    await scene.rest();
    const order = scene.runtime.sandboxSpecs.map(({ podName }) => podName);
    expect(order.slice(0, 2).sort()).toEqual(["a", "b"]);
    expect(order.slice(2).sort()).toEqual(["c", "d"]);
    for (const name of order) expect(scene.cluster.pod(name)?.status?.phase).toBe("Running");
    expect((await scene.agent.facts()).starts.sandboxed).toMatchObject({ inside: 0, waiting: 0 });
    expect((await scene.agent.facts()).memory.promisedMib).toBe(0);
  });

  it("tell who waits noticeably how many are before it, until its turn comes", async () => {
    await addPods("a", "b", "c", "d");
    await scene.until(() => starts().length === 2);
    expect(messageOf("d")).toBeUndefined();
    await scene.clock.advance(2_000);
    const words = "waiting for a start slot: 2 sandboxes are starting, 1 pod before this one";
    await scene.until(() => messageOf("d") === words);
    await scene.until(() => scene.cluster.events("WaitingForStart").length === 2);
    release();
    await scene.rest();
    expect(scene.cluster.pod("d")?.status?.phase).toBe("Running");
  });

  it("do not stand in the way of a pod without a VM", async () => {
    await addPods("a", "b", "c");
    await scene.until(() => starts().length === 2);
    scene.cluster.addPod("trusted", { containers: [app] });
    await scene.until(() => starts().includes("runSandbox runc"));
  });

  it("lose one that is deleted at once", async () => {
    await addPods("a", "b", "c", "d");
    await scene.until(() => starts().length === 2);
    scene.cluster.deletePod("c");
    await scene.until(() => scene.cluster.pod("c") === undefined);
    expect(await waiting()).toBe(1);
    expect(starts()).toHaveLength(2);
  });

  it("give their place on when they fail, and none to a pod in back-off", async () => {
    release();
    scene.runtime.failNext("runSandbox", new Error("no VM"));
    scene.cluster.addPod("a", untrusted);
    await scene.rest();
    expect(scene.cluster.events("FailedCreatePodSandBox")).toHaveLength(1);
    expect((await scene.agent.facts()).starts.sandboxed).toMatchObject({ inside: 0, waiting: 0 });
  });
});
