// The agent's life with its node and pods, over a cluster and a runtime in memory.
import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Container, Node } from "../proto/kubernetes/gen/types.ts";
import { type AgentScene, createAgentScene } from "../test/fakes/agent-scene.ts";
import { coreV1, nodesPath } from "./objects.ts";

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
const stateOf = (index = 0) => statusOf()?.containerStatuses?.[index]?.state;
const callsOf = (verb: string) => scene.runtime.calls.filter((call) => call.startsWith(verb));

describe("a pod that runs", () => {
  it("shows a configMap's change in its volume, and hears of none after its end", async () => {
    const path = coreV1("configmaps", "default");
    const settings = (colour: string) => ({ metadata: { name: "settings" }, data: { colour } });
    await scene.cluster.create(path, settings("blue"));
    const volumes = [{ name: "v", configMap: { name: "settings" } }];
    const { uid } = scene.cluster.addPod("p", { containers: [app], volumes }).metadata;
    await scene.rest();
    const file = join(scene.folder, "pods", uid, "volumes/kubernetes.io~configmap/v/colour");
    expect(readFileSync(file, "utf8")).toBe("blue");
    await scene.cluster.patch(path, "settings", settings("green"), {
      type: "application/merge-patch+json",
    });
    await scene.rest();
    expect(readFileSync(file, "utf8")).toBe("green");
    scene.cluster.forceDeletePod("p");
    await scene.rest();
    await scene.cluster.delete(path, "settings");
    await scene.rest();
    expect(existsSync(file)).toBe(false);
  });

  it("reaches Running and Ready with address, ids and the kubelet's events", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    const status = statusOf();
    expect(status?.phase).toBe("Running");
    expect(status?.hostIP).toBe("10.224.0.4");
    expect(status?.podIPs).toEqual([{ ip: status?.podIP }]);
    expect(status?.qosClass).toBe("BestEffort");
    expect(status?.conditions?.map(({ type, status: is }) => `${type}=${is}`)).toEqual([
      "PodReadyToStartContainers=True",
      "Initialized=True",
      "Ready=True",
      "ContainersReady=True",
      "PodScheduled=True",
    ]);
    expect(status?.containerStatuses?.[0]).toMatchObject({
      name: "app",
      ready: true,
      started: true,
      restartCount: 0,
      image: "app:1",
    });
    expect(status?.containerStatuses?.[0]?.containerID).toMatch(/^containerd:\/\/container-/);
    expect(status?.containerStatuses?.[0]?.imageID).toMatch(/^sha256:/);
    const messages = scene.cluster
      .events()
      .filter(({ involvedObject }) => involvedObject.kind === "Pod")
      .map(({ reason, message }) => `${reason}: ${message}`);
    expect(messages).toEqual([
      'Pulling: Pulling image "app:1"',
      'Pulled: Successfully pulled image "app:1" in 0s (0s including waiting). Image size: 1000 bytes.',
      "Created: Created container: app",
      "Started: Started container app",
    ]);
    expect(scene.cluster.events("Started")[0]).toMatchObject({
      source: { component: "kubelet", host: "node-1" },
      involvedObject: { fieldPath: "spec.containers{app}", apiVersion: "v1" },
    });
  });

  it("says ContainerCreating before the sandbox stands", async () => {
    const release = scene.runtime.holdSandboxes();
    scene.cluster.addPod("p", { containers: [app] });
    await scene.until(() => callsOf("runSandbox").length === 1);
    expect(stateOf()).toEqual({ waiting: { reason: "ContainerCreating" } });
    expect(statusOf()?.phase).toBe("Pending");
    release();
    await scene.rest();
    expect(stateOf()?.running).toBeDefined();
  });

  it("says what its micro-VM is", async () => {
    await addClass();
    scene.runtime.vm = {
      hypervisor: "qemu",
      accelerator: "tcg",
      vcpus: 1,
      memoryMib: 2048,
      pid: 1,
      kernelRelease: "6.1.0-50-cloud-amd64",
      bootId: "b",
      startKind: "cold",
      bootMs: 1400,
      consoleLog: "",
    };
    scene.cluster.addPod("p", untrusted);
    await scene.rest();
    expect(scene.cluster.events("SandboxBooted")[0]?.message).toBe(
      "micro-VM with kernel 6.1.0-50-cloud-amd64 booted in 1.4 s: 1 vCPU, 2048 MiB, qemu/tcg (software emulation)",
    );
    expect(scene.cluster.pod("p")?.metadata.annotations).toMatchObject({
      "katasim.dev/hypervisor": "qemu",
      "katasim.dev/accelerator": "tcg",
      "katasim.dev/vm-vcpus": "1",
      "katasim.dev/vm-memory-mib": "2048",
      "katasim.dev/guest-kernel": "6.1.0-50-cloud-amd64",
    });
  });

  it("runs init containers one after the other, then the app", async () => {
    const init = (name: string): Container => ({ name, image: "app:1" });
    scene.cluster.addPod("p", { initContainers: [init("i1"), init("i2")], containers: [app] });
    await scene.rest();
    expect(scene.runtime.running("i1")).toBeDefined();
    expect(scene.runtime.running("i2")).toBeUndefined();
    expect(stateOf()).toEqual({ waiting: { reason: "PodInitializing" } });
    scene.runtime.exit("i1", 0);
    await scene.rest();
    expect(scene.runtime.running("i2")).toBeDefined();
    expect(statusOf()?.conditions?.find(({ type }) => type === "Initialized")).toMatchObject({
      status: "False",
      reason: "ContainersNotInitialized",
      message: "containers with incomplete status: [i2]",
    });
    scene.runtime.exit("i2", 0);
    await scene.rest();
    expect(scene.runtime.running("app")).toBeDefined();
    expect(statusOf()?.initContainerStatuses?.map(({ ready }) => ready)).toEqual([true, true]);
  });

  it("restarts a container whose image was changed", async () => {
    const pod = scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    await scene.cluster.patch(
      { groupVersion: "api/v1", plural: "pods", namespace: "default" },
      "p",
      { spec: { ...pod.spec, containers: [{ ...app, image: "app:2" }] } },
      { type: "application/merge-patch+json" },
    );
    await scene.rest();
    await scene.clock.advance(10_000);
    await scene.rest();
    expect(scene.runtime.running("app")?.image.requested).toBe("app:2");
    expect(statusOf()?.containerStatuses?.[0]?.restartCount).toBe(1);
  });
});

describe("a new life of the agent", () => {
  it("finds pods running, keeps restart counts and starts nothing again", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    scene.runtime.exit("app", 1);
    await scene.rest();
    const before = statusOf();
    const calls = scene.runtime.calls.length;
    await scene.restartAgent();
    await scene.rest();
    expect(scene.runtime.calls.slice(calls)).toEqual([]);
    expect(statusOf()).toEqual(before);
    scene.runtime.exit("app", 1);
    await scene.rest();
    expect(statusOf()?.containerStatuses?.[0]?.restartCount).toBe(2);
  });

  it("removes sandboxes and folders whose pod was deleted meanwhile", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    await scene.stopAgent();
    scene.cluster.forceDeletePod("p");
    await mkdir(join(scene.folder, "pods", "uid-lost"), { recursive: true });
    await scene.restartAgent();
    await scene.until(() => !existsSync(join(scene.folder, "pods", "uid-lost")));
    expect(scene.runtime.sandboxes.size).toBe(0);
  });

  it("goes on with the count when the runtime has forgotten everything", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    scene.runtime.exit("app", 1);
    await scene.rest();
    await scene.stopAgent();
    scene.runtime.sandboxes.clear();
    scene.runtime.containers.clear();
    await scene.restartAgent();
    await scene.rest();
    expect(statusOf()?.containerStatuses?.[0]).toMatchObject({
      restartCount: 2,
      lastState: { terminated: { exitCode: 137, reason: "ContainerStatusUnknown" } },
    });
  });

  it("leaves a finished pod as it is", async () => {
    scene.cluster.addPod("p", { containers: [app], restartPolicy: "Never" });
    await scene.rest();
    scene.runtime.exit("app", 0);
    await scene.rest();
    const before = statusOf();
    await scene.restartAgent();
    expect(statusOf()).toEqual(before);
    expect(scene.runtime.sandboxes.size).toBe(0);
  });
});

describe("the node", () => {
  it("is registered Ready with AKS labels and the truth about acceleration", async () => {
    await scene.rest();
    const node = await scene.cluster.get<Node & { metadata: object }>(nodesPath, "node-1");
    expect(node?.metadata).toMatchObject({
      labels: {
        "kubernetes.io/hostname": "node-1",
        "kubernetes.azure.com/os-sku": "AzureLinux",
        "katasim.dev/accelerator": "tcg",
      },
      annotations: { "katasim.dev/kubelet-address": "127.0.0.1" },
    });
    expect(node?.status?.capacity).toMatchObject({ cpu: "4", memory: "16777216Ki", pods: "110" });
    expect(node?.status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      "katasim.dev/HardwareVirtualization=False",
      expect.stringContaining("MemoryPressure="),
      expect.stringContaining("DiskPressure="),
      expect.stringContaining("PIDPressure="),
      "Ready=True",
    ]);
    expect(node?.status?.runtimeHandlers?.map(({ name }) => name)).toEqual([
      "runc",
      "kata-mshv-vm-isolation",
    ]);
  });

  it("keeps a user's labels and taints when it registers again", async () => {
    await scene.stopAgent();
    await scene.cluster.patch(
      nodesPath,
      "node-1",
      {
        metadata: { labels: { team: "a" } },
        spec: { taints: [{ key: "k", effect: "NoSchedule" }] },
      },
      { type: "application/merge-patch+json" },
    );
    await scene.restartAgent();
    const node = await scene.cluster.get<Node & { metadata: object }>(nodesPath, "node-1");
    expect(node?.metadata).toMatchObject({ labels: { team: "a", agentpool: "nodepool1" } });
    expect(node?.spec?.taints).toHaveLength(1);
  });

  it("renews its lease every 10 s", async () => {
    await scene.rest();
    const path = {
      groupVersion: "apis/coordination.k8s.io/v1",
      plural: "leases",
      namespace: "kube-node-lease",
    };
    const renewTime = async () =>
      (await scene.cluster.get<{ metadata: object; spec?: { renewTime?: string } }>(path, "node-1"))
        ?.spec?.renewTime;
    const first = await renewTime();
    await scene.clock.advance(10_000);
    expect(Date.parse((await renewTime()) ?? "") - Date.parse(first ?? "")).toBe(10_000);
  });

  it("ends every pod when it goes down, and brings them back", async () => {
    scene.cluster.addPod("p", { containers: [app] });
    await scene.rest();
    await scene.stopAgent();
    await scene.agent.stopAllPods(5_000);
    expect(scene.runtime.sandboxes.size).toBe(0);
    expect(callsOf("stopContainer")).toEqual(["stopContainer app 5000"]);
    expect(stateOf()?.terminated?.exitCode).toBe(143);
    await scene.restartAgent();
    await scene.rest();
    expect(scene.runtime.running("app")).toBeDefined();
    expect(statusOf()?.containerStatuses?.[0]?.restartCount).toBe(1);
  });
});
