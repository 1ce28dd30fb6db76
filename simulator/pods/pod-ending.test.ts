// Deletion in all its forms.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Container } from "../../proto/kubernetes/gen/types.ts";
import { type AgentScene, createAgentScene } from "../../test/fakes/agent-scene.ts";

const app: Container = { name: "app", image: "app:1" };

let scene: AgentScene;
beforeEach(async () => {
  scene = await createAgentScene();
});
afterEach(() => scene.dispose());

const statusOf = (name = "p") => scene.cluster.pod(name)?.status;
const callsOf = (verb: string) => scene.runtime.calls.filter((call) => call.startsWith(verb));

describe("deletion", () => {
  it("asks with SIGTERM, removes everything, tells the end and deletes", async () => {
    const pod = scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    scene.cluster.deletePod("p", 30);
    await scene.rest();
    expect(callsOf("stopContainer")).toEqual(["stopContainer app 30000"]);
    expect(scene.cluster.pod("p")).toBeUndefined();
    expect(scene.runtime.sandboxes.size).toBe(0);
    expect(scene.cluster.statusWrites.at(-1)).toMatchObject({
      phase: "Failed",
      containerStatuses: [{ state: { terminated: { exitCode: 143 } } }],
    });
    expect(scene.cluster.events("Killing").map(({ message }) => message)).toEqual([
      "Stopping container app",
    ]);
    expect(existsSync(join(scene.folder, "pods", pod.metadata.uid))).toBe(false);
    expect(scene.agent.pods.find("default", "p")).toBeUndefined();
  });

  it("breaks into a sandbox that is being made", async () => {
    scene.runtime.holdSandboxes();
    scene.cluster.addPod("p", { containers: [app] });
    await scene.until(() => callsOf("runSandbox").length === 1);
    scene.cluster.deletePod("p");
    await scene.until(() => scene.cluster.pod("p") === undefined);
    expect(scene.runtime.sandboxes.size).toBe(0);
    expect(callsOf("createContainer")).toEqual([]);
  });

  it("is hurried by a shorter grace period", async () => {
    scene.runtime.stubborn = true;
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    scene.cluster.deletePod("p", 30);
    await scene.until(() => callsOf("stopContainer").length === 1);
    scene.cluster.deletePod("p", 2);
    await scene.until(() => callsOf("stopContainer").length === 2);
    expect(scene.cluster.pod("p")).toBeDefined();
    await scene.clock.advance(2_000);
    await scene.until(() => scene.cluster.pod("p") === undefined);
    expect(callsOf("stopContainer")).toEqual(["stopContainer app 30000", "stopContainer app 2000"]);
  });

  it("by force cleans up after a pod that is gone already", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    scene.cluster.forceDeletePod("p");
    await scene.rest();
    expect(scene.runtime.sandboxes.size).toBe(0);
    expect(scene.agent.pods.list()).toEqual([]);
  });

  it("is finished although the API was out of reach for the last word", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    // Twice, because the agent's own last status wakes it once more.
    for (let call = 0; call < 2; call++) {
      scene.cluster.failNext("delete", new Error("connection refused"));
    }
    scene.cluster.deletePod("p");
    await scene.rest();
    expect(scene.cluster.pod("p")).toBeDefined();
    await scene.clock.advance(2_000);
    await scene.rest();
    expect(scene.cluster.pod("p")).toBeUndefined();
  });

  it("of a pod does not touch its successor of the same name", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    scene.cluster.forceDeletePod("p");
    const second = scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    expect(scene.cluster.pod("p")?.metadata.uid).toBe(second.metadata.uid);
    expect(statusOf()?.phase).toBe("Running");
    expect(scene.agent.pods.find("default", "p")?.uid).toBe(second.metadata.uid);
  });
});
