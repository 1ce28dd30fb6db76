// What the agent writes down of a pod's start.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Container } from "../../proto/kubernetes/gen/types.ts";
import { type AgentScene, createAgentScene } from "../../test/fakes/agent-scene.ts";
import { readPodTimeline } from "./pod-timeline.ts";

const app: Container = { name: "app", image: "app:1" };
const side: Container = { name: "side", image: "app:1" };

let scene: AgentScene;
beforeEach(async () => {
  scene = await createAgentScene();
});
afterEach(() => scene.dispose());

const stepsOf = (sandboxId: string, uid = scene.cluster.pod("p")?.metadata.uid ?? "") =>
  readPodTimeline({ pods: `${scene.folder}/pods`, podLogs: "" }, uid, sandboxId);
const newest = () => [...scene.runtime.sandboxes.keys()].at(-1) ?? "";
const words = () =>
  stepsOf(newest()).map(({ step, about }) => (about === undefined ? step : `${step} ${about}`));

describe("a pod's timeline", () => {
  it("goes from the watch to the patch that says Running, each step once", async () => {
    scene.cluster.addPod("p", { containers: [app, side] });
    await scene.rest();
    const steps = [
      "apply seen",
      "start slot",
      "image present app",
      "container created app",
      "container started app",
      "image present side",
      "container created side",
      "container started side",
      "Running patched",
    ];
    expect(words()).toEqual(steps);
    const times = stepsOf(newest()).map(({ atMs }) => atMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    scene.runtime.exit("app", 1);
    await scene.rest();
    expect(words()).toEqual(steps);
  });

  it("shows how far a start came that goes no further", async () => {
    scene.images.failures.set("app:1", new Error("no such host"));
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    expect(words()).toEqual(["apply seen", "start slot"]);
  });

  it("begins anew with another sandbox, and is kept by an agent that finds the pod running", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    const first = newest();
    scene.runtime.killSandbox("the VMM was killed");
    await scene.rest();
    const again = words();
    expect(again[0]).toBe("sandbox changed");
    expect(again.at(-1)).toBe("Running patched");
    expect(stepsOf(first)).toEqual([]);
    await scene.restartAgent();
    expect(words()).toEqual(again);
  });
});
