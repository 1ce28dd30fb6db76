/**
 * What does not work, each with what one meets instead and why. Titles, "<what>: <what one meets>. <why>",
 * become the rows of README.md here. Through genuine ctr and the CRI.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NamespaceMode } from "../../proto/cri/gen/runtime_pb.js";
import { containerdObstacle } from "../support/containerd.ts";
import { type CriPod, cri } from "../support/cri-client.ts";
import { type CriScene, startCriScene } from "../support/cri-scene.ts";
import { type CtrScene, runtimes, startCtrScene } from "../support/ctr-scene.ts";

const why = containerdObstacle({ cri: true });
if (why !== undefined) console.warn(`skipped: ${why}`);

const idle = ["sleep", "1000"];

describe.skipIf(why !== undefined)("not supported", () => {
  describe("ctr", () => {
    const { type } = runtimes[0];
    let scene: CtrScene;
    beforeAll(async () => {
      scene = await startCtrScene();
      await scene.run(type, "main", ["-d", "--net-host"], idle);
    });
    afterAll(async () => {
      await scene.remove("main");
      await scene.stop();
    });
    const exec = async (...args: readonly string[]) =>
      (await scene.ctr(["task", "exec", "--exec-id", `e${args.length}`, "main", ...args])).stdout;

    it("task checkpoint: refused as unimplemented. CRIU would have to freeze a process of another kernel; Kata refuses it, too", async () => {
      const { exitCode, stderr } = await scene.ctr(["task", "checkpoint", "main"]);
      expect([exitCode, stderr]).toEqual([
        1,
        expect.stringContaining("checkpointing a container is not simulated: not implemented"),
      ]);
    });

    it("--log-uri binary://: refused as unimplemented. The logging program would be run by the shim outside of the sandbox", async () => {
      const flags = ["-d", "--log-uri", "binary:///bin/cat"];
      const { exitCode, stderr } = await scene.run(type, "logger", flags, idle);
      expect([exitCode, stderr]).toEqual([
        1,
        expect.stringContaining("stdio over binary:// is not simulated"),
      ]);
    });

    it("--net-host: the container has a loopback interface only. A guest has no part in the host's network; Kata says as little", async () => {
      expect(await exec("cat", "/proc/net/dev")).not.toMatch(/eth0|ens|enp/);
    });

    it("task ps: one process, the VMM. What runs in the guest has no pid on the host; Kata answers the same", async () => {
      expect((await scene.ok("task", "ps", "main")).trim().split("\n")).toHaveLength(2);
    });
  });

  describe("CRI", () => {
    let scene: CriScene;
    let pod: CriPod;
    let main: string;
    beforeAll(async () => {
      scene = await startCriScene();
      const namespaceOptions = {
        network: NamespaceMode.NODE,
        pid: NamespaceMode.NODE,
        ipc: NamespaceMode.NODE,
      };
      const linux = { securityContext: { namespaceOptions } };
      pod = await scene.pod("host", { linux });
      main = await pod.run("main", idle, { linux });
    });
    afterAll(async () => {
      await scene?.stop();
      await scene?.containerd.stop();
      expect(scene?.containerd.leaks()).toEqual([]);
      await scene?.containerd.dispose();
    });
    const sh = async (script: string) =>
      (await scene.exec(main, ["sh", "-c", script])).stdout.trim();

    it("HostNetwork: the pod has a loopback interface only. containerd names no network namespace then, and a guest has no part in the host's; Kata says as little (katasim's own node refuses such a pod)", async () => {
      expect(await sh("ls /sys/class/net")).toBe("lo");
    });

    it("HostPID: the pod's containers share the guest's processes, not the host's. The host's are of another kernel", async () => {
      expect(await sh("cat /proc/[0-9]*/comm | sort -u | tr '\\n' ' '")).not.toContain(
        "containerd",
      );
    });

    it("HostIPC: the pod's containers share the guest's IPC, not the host's. It is a part of the kernel", async () => {
      expect(await sh("ls /dev/shm")).toBe("");
    });

    it("UpdateContainerResources beyond the VM: the container's limit changes, the VM's size does not. The sizes of AKS are static", async () => {
      const before = await sh("nproc");
      await scene.client.call(cri.updateContainerResources, {
        containerId: main,
        linux: { cpuQuota: 800_000n, cpuPeriod: 100_000n },
      });
      expect([await sh("nproc"), await sh("cat /sys/fs/cgroup/cpu.max")]).toEqual([
        ...[before, "800000 100000"],
      ]);
    });

    it("AppArmor and SELinux: no profile is in force in the guest. Its kernel runs without either; the VM is the boundary", async () => {
      expect(await sh("cat /proc/self/attr/current 2>/dev/null | grep -v unconfined")).toBe("");
    });
  });
});
