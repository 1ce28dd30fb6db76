// Sandboxes that die or cannot be made.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Container } from "../../proto/kubernetes/gen/types.ts";
import { type AgentScene, createAgentScene } from "../../test/fakes/agent-scene.ts";

const app: Container = { name: "app", image: "app:1" };
const runtimeClasses = { groupVersion: "apis/node.k8s.io/v1", plural: "runtimeclasses" };

let scene: AgentScene;
beforeEach(async () => {
  scene = await createAgentScene();
});
afterEach(() => scene.dispose());

async function addClass(name = "kata-mshv-vm-isolation", handler = name) {
  const object = { metadata: { name }, handler };
  await scene.cluster.create(runtimeClasses, object);
}

const statusOf = (name = "p") => scene.cluster.pod(name)?.status;
const stateOf = (index = 0) => statusOf()?.containerStatuses?.[index]?.state;
const callsOf = (verb: string) => scene.runtime.calls.filter((call) => call.startsWith(verb));

describe("a sandbox that dies", () => {
  const why = "the virtual machine monitor (qemu, pid 123) was killed by SIGKILL";

  it("leaves its true reason and is made again with restarted containers", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    const firstIp = statusOf()?.podIP;
    scene.runtime.killSandbox(why);
    await scene.rest();
    expect(scene.cluster.events("SandboxChanged")[0]?.message).toBe(
      "Pod sandbox changed, it will be killed and re-created.",
    );
    expect(
      scene.cluster.statusWrites.map((write) => write.containerStatuses?.[0]?.state),
    ).toContainEqual({
      terminated: expect.objectContaining({ exitCode: 137, reason: "Error", message: why }),
    });
    expect(scene.runtime.sandboxSpecs.map(({ attempt }) => attempt)).toEqual([0, 1]);
    const status = statusOf()?.containerStatuses?.[0];
    expect(status?.restartCount).toBe(1);
    expect(status?.lastState?.terminated?.message).toBe(why);
    expect(status?.state?.running).toBeDefined();
    expect(scene.runtime.sandboxes.size).toBe(1);
    expect(statusOf()?.podIP).not.toBe(firstIp);
    expect(statusOf()?.podIPs).toHaveLength(1);
  });

  it("ends a pod with restartPolicy Never", async () => {
    scene.cluster.addPod("p", { containers: [app], restartPolicy: "Never" });
    await scene.rest();
    scene.runtime.killSandbox(why);
    await scene.rest();
    expect(statusOf()?.phase).toBe("Failed");
    expect(stateOf()?.terminated?.message).toBe(why);
    expect(scene.runtime.sandboxes.size).toBe(0);
  });

  it("again and again is not booted without a pause", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    for (let death = 0; death < 5; death++) {
      scene.runtime.killSandbox(why);
      await scene.rest();
    }
    expect(scene.runtime.sandboxSpecs.length).toBeLessThanOrEqual(2);
    await scene.clock.advance(10_000);
    await scene.rest();
    expect(scene.runtime.sandboxSpecs).toHaveLength(3);
  });
});

describe("a sandbox that cannot be made", () => {
  it("is reported in containerd's words and tried again", async () => {
    await addClass("odd", "nonesuch");
    scene.runtime.failNext(
      "runSandbox",
      new Error('failed to get sandbox runtime: no runtime for "nonesuch" is configured'),
    );
    scene.cluster.addPod("p", { containers: [app], runtimeClassName: "odd" });
    await scene.rest();
    expect(scene.cluster.events("FailedCreatePodSandBox")[0]?.message).toBe(
      'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "nonesuch" is configured',
    );
    expect(callsOf("runSandbox")).toEqual(["runSandbox nonesuch"]);
    expect(stateOf()?.waiting?.reason).toBe("ContainerCreating");
    await scene.clock.advance(10_000);
    await scene.rest();
    expect(callsOf("runSandbox")).toHaveLength(2);
  });
});
