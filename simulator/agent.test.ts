// The agent's life with pods, over a cluster and a runtime in memory (virtual-kubelet's scenarios).
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Container, Node } from "../proto/kubernetes/gen/types.ts";
import { type AgentScene, createAgentScene } from "../test/fakes/agent-scene.ts";
import { nodesPath } from "./objects.ts";

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
const reasons = () => scene.cluster.events().map(({ reason }) => reason);
const callsOf = (verb: string) => scene.runtime.calls.filter((call) => call.startsWith(verb));

describe("a pod that runs", () => {
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

describe("a pod that is refused", () => {
  it.each([
    ["hostNetwork", { hostNetwork: true }, "hostNetwork cannot be used"],
    ["hostPID", { hostPID: true }, "hostPID cannot be used"],
    ["a hostPath", { volumes: [{ name: "h", hostPath: { path: "/" } }] }, 'volume "h" (hostPath)'],
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
    scene = await createAgentScene({ availableMib: 1000 });
    await addClass();
    scene.cluster.addPod("p", untrusted);
    await scene.rest();
    expect(statusOf()).toMatchObject({ phase: "Failed", reason: "OutOfmemory" });
    expect(statusOf()?.message).toContain(
      "The micro-VM needs 2048 MiB but this machine has 1000 MiB free: lower the containers' memory limits",
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
