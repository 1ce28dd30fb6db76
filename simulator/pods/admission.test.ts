// What is refused, and what is accepted with a word of warning.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Container } from "../../proto/kubernetes/gen/types.ts";
import { type AgentScene, createAgentScene } from "../../test/fakes/agent-scene.ts";

const app: Container = { name: "app", image: "app:1" };
const untrusted = { containers: [app], runtimeClassName: "kata-mshv-vm-isolation" };
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
const reasons = () => scene.cluster.events().map(({ reason }) => reason);

describe("a pod that is refused", () => {
  it.each([
    ["hostNetwork", { hostNetwork: true }, "hostNetwork cannot be used"],
    ["hostPID", { hostPID: true }, "hostPID cannot be used"],
    [
      "a CSI volume",
      { volumes: [{ name: "c", csi: { driver: "file.csi.azure.com" } }] },
      'volume "c" is of kind csi (driver file.csi.azure.com)',
    ],
    [
      "a claim",
      { volumes: [{ name: "d", persistentVolumeClaim: { claimName: "x" } }] },
      'volume "d" is of kind persistentVolumeClaim',
    ],
  ])("with %s in a sandbox names it", async (_name, more, words) => {
    await addClass();
    scene.cluster.addPod("p", { ...untrusted, ...more });
    await scene.rest();
    expect(statusOf()).toMatchObject({ phase: "Failed", reason: "UnsupportedPodFeature" });
    expect(statusOf()?.message).toContain(`Pod was rejected: ${words}`);
    expect(statusOf()?.containerStatuses).toBeUndefined();
    expect(scene.runtime.sandboxSpecs).toEqual([]);
  });

  it("for lack of memory on this machine says what to do", async () => {
    await scene.dispose();
    scene = await createAgentScene({ availableMib: 1200 });
    await addClass();
    scene.cluster.addPod("p", untrusted);
    await scene.rest();
    expect(statusOf()).toMatchObject({ phase: "Failed", reason: "OutOfmemory" });
    expect(statusOf()?.message).toContain(
      "The micro-VM needs 256 MiB to start but this machine has 1200 MiB free, of which 1024 MiB are kept for the machine itself (up --memory-reserve): delete other sandboxed pods",
    );
  });

  it("beyond the node's allocatable cpu has the kubelet's words", async () => {
    const resources = { requests: { cpu: "5" } };
    scene.cluster.addPod("p", { containers: [{ ...app, resources }] });
    await scene.rest();
    expect(statusOf()).toMatchObject({
      reason: "OutOfcpu",
      message:
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 3860",
    });
  });
});

describe("plain words", () => {
  it("say once what is not simulated yet", async () => {
    scene.cluster.addPod("p", {
      containers: [{ ...app, livenessProbe: { exec: { command: ["true"] } } }],
    });
    await scene.rest();
    expect(scene.cluster.events("NotSimulated").map(({ message }) => message)).toEqual([
      "probes of container app are not run: a running container counts as started, alive and ready",
    ]);
  });

  it("warn that requests do not size a micro-VM", async () => {
    await addClass();
    const resources = { requests: { memory: "1Gi" } };
    scene.cluster.addPod("p", { ...untrusted, containers: [{ ...app, resources }] });
    await scene.rest();
    expect(scene.cluster.events("RequestsIgnored")[0]?.message).toContain(
      "container app requests memory 1Gi without a limit",
    );
    expect(reasons()).toContain("Started");
  });
});
