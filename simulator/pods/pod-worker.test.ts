// Ends, crashes, images and configuration, as the pod worker handles them.
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
const stateOf = (index = 0) => statusOf()?.containerStatuses?.[index]?.state;
const callsOf = (verb: string) => scene.runtime.calls.filter((call) => call.startsWith(verb));

describe("a pod that ends by itself", () => {
  it.each([
    [0, "Succeeded", "Completed"],
    [3, "Failed", "Error"],
  ])("with exit code %d and restartPolicy Never is %s", async (exitCode, phase, reason) => {
    scene.cluster.addPod("p", { containers: [app], restartPolicy: "Never" });
    await scene.rest();
    scene.runtime.exit("app", exitCode);
    await scene.rest();
    expect(statusOf()?.phase).toBe(phase);
    expect(stateOf()?.terminated).toMatchObject({ exitCode, reason });
    expect(scene.runtime.sandboxes.size).toBe(0);
    expect(statusOf()?.podIP).toBeDefined();
  });

  it("is told apart when it ends before its start was reported", async () => {
    scene.runtime.onStart = (status) => {
      scene.runtime.exit(status.name, 0);
    };
    scene.cluster.addPod("p", { containers: [app], restartPolicy: "Never" });
    await scene.rest();
    expect(statusOf()?.phase).toBe("Succeeded");
    expect(callsOf("startContainer")).toHaveLength(1);
  });

  it("that cannot be started is Failed at once with restartPolicy Never", async () => {
    scene.runtime.failNext("startContainer", new Error('exec: "nope": executable file not found'));
    scene.cluster.addPod("p", { containers: [app], restartPolicy: "Never" });
    await scene.rest();
    expect(statusOf()?.phase).toBe("Failed");
    expect(stateOf()?.terminated).toMatchObject({
      exitCode: 128,
      reason: "StartError",
      message: 'exec: "nope": executable file not found',
    });
  });

  it("fails for good when an init container fails with restartPolicy Never", async () => {
    scene.cluster.addPod("p", {
      initContainers: [{ name: "i", image: "app:1" }],
      containers: [app],
      restartPolicy: "Never",
    });
    await scene.rest();
    scene.runtime.exit("i", 1);
    await scene.rest();
    expect(statusOf()?.phase).toBe("Failed");
    expect(scene.runtime.sandboxes.size).toBe(0);
  });

  it("is Failed with DeadlineExceeded when its time is over", async () => {
    scene.cluster.addPod("p", { containers: [app], activeDeadlineSeconds: 20 });
    await scene.rest();
    await scene.clock.advance(20_000);
    await scene.rest();
    expect(statusOf()).toMatchObject({ phase: "Failed", reason: "DeadlineExceeded" });
    expect(scene.runtime.running("app")).toBeUndefined();
  });
});

describe("a container that crashes", () => {
  const crash = async () => {
    scene.runtime.exit("app", 1);
    await scene.rest();
  };

  it("restarts at once, then after 10 s, 20 s, 40 s", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    await crash();
    expect(statusOf()?.containerStatuses?.[0]?.restartCount).toBe(1);
    for (const seconds of [10, 20, 40]) {
      await crash();
      expect(stateOf()?.waiting).toMatchObject({
        reason: "CrashLoopBackOff",
        message: `back-off ${seconds}s restarting failed container=app pod=p_default(${scene.cluster.pod("p")?.metadata.uid})`,
      });
      await scene.clock.advance(seconds * 1000 - 1000);
      await scene.rest();
      expect(scene.runtime.running("app")).toBeUndefined();
      await scene.clock.advance(1000);
      await scene.rest();
      expect(scene.runtime.running("app")).toBeDefined();
    }
    expect(statusOf()?.containerStatuses?.[0]).toMatchObject({ restartCount: 4 });
    expect(statusOf()?.containerStatuses?.[0]?.lastState?.terminated?.exitCode).toBe(1);
    expect(scene.cluster.events("BackOff")[0]?.message).toMatch(
      /^Back-off restarting failed container app in pod p_default\(uid-\d+\)$/,
    );
  });

  it("is forgiven after ten minutes of running", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    await crash();
    await crash();
    await scene.clock.advance(10_000);
    await scene.rest();
    await scene.clock.advance(601_000);
    await crash();
    expect(scene.runtime.running("app")).toBeDefined();
  });

  it("is not restarted after success with OnFailure, and is after a failure", async () => {
    scene.cluster.addPod("p", {
      containers: [app, { name: "b", image: "app:1" }],
      restartPolicy: "OnFailure",
    });
    await scene.rest();
    scene.runtime.exit("b", 0);
    await crash();
    expect(scene.runtime.running("app")).toBeDefined();
    expect(scene.runtime.running("b")).toBeUndefined();
    expect(statusOf()?.phase).toBe("Running");
  });
});

describe("images", () => {
  it("go from ErrImagePull to ImagePullBackOff and come when the registry does", async () => {
    scene.images.failures.set("app:1", new Error("no such host"));
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    expect(stateOf()?.waiting).toEqual({
      reason: "ErrImagePull",
      message: "rpc error: code = Unknown desc = no such host",
    });
    await scene.clock.advance(2_000);
    await scene.rest();
    expect(stateOf()?.waiting).toEqual({
      reason: "ImagePullBackOff",
      message:
        'Back-off pulling image "app:1": ErrImagePull: rpc error: code = Unknown desc = no such host',
    });
    scene.images.failures.clear();
    await scene.clock.advance(10_000);
    await scene.rest();
    expect(stateOf()?.running).toBeDefined();
    expect(scene.images.pulls).toHaveLength(2);
  });

  it("are not pulled with policy Never", async () => {
    scene.cluster.addPod("p", { containers: [{ ...app, imagePullPolicy: "Never" }] });
    await scene.rest();
    expect(stateOf()?.waiting).toEqual({
      reason: "ErrImageNeverPull",
      message: 'Container image "app:1" is not present with pull policy of Never',
    });
    expect(scene.images.pulls).toEqual([]);
  });
});

describe("configuration", () => {
  it("that is missing is a CreateContainerConfigError and heals when it appears", async () => {
    const env = [{ name: "A", valueFrom: { configMapKeyRef: { name: "cfg", key: "a" } } }];
    scene.cluster.addPod("p", { containers: [{ ...app, env }] });
    await scene.rest();
    expect(stateOf()?.waiting).toEqual({
      reason: "CreateContainerConfigError",
      message: 'configmap "cfg" not found',
    });
    expect(scene.cluster.events("Failed")[0]?.message).toBe('Error: configmap "cfg" not found');
    await scene.cluster.create(
      { groupVersion: "api/v1", plural: "configmaps", namespace: "default" },
      { metadata: { name: "cfg" }, data: { a: "1" } } as never,
    );
    await scene.clock.advance(10_000);
    await scene.rest();
    expect(scene.runtime.containerSpecs[0]?.env).toEqual([{ name: "A", value: "1" }]);
  });

  it("that is missing for a volume is a FailedMount, without a sandbox", async () => {
    scene.cluster.addPod("p", {
      containers: [app],
      volumes: [{ name: "v", configMap: { name: "cfg" } }],
    });
    await scene.rest();
    expect(scene.cluster.events("FailedMount")[0]?.message).toBe(
      'MountVolume.SetUp failed for volume "v" : configmap "cfg" not found',
    );
    expect(scene.runtime.sandboxSpecs).toEqual([]);
  });
});
