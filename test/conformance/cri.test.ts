/**
 * Genuine containerd with our shim as a runtime handler, driven over the CRI as kubelet does. Titles
 * become rows of README.md here.
 */
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ContainerState, NamespaceMode, PodSandboxState } from "../../proto/cri/gen/runtime_pb.js";
import { containerdObstacle } from "../support/containerd.ts";
import { type CriPod, cri } from "../support/cri-client.ts";
import { type CriScene, startCriScene } from "../support/cri-scene.ts";
import { waitUntil } from "../support/wait-until.ts";

const why = containerdObstacle({ cri: true });
if (why !== undefined) console.warn(`skipped: ${why}`);

const idle = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"];

describe.skipIf(why !== undefined)("CRI", () => {
  let scene: CriScene;
  let pod: CriPod;
  let main: string;

  beforeAll(async () => {
    scene = await startCriScene();
    pod = await scene.pod("first", {
      linux: {
        resources: {
          cpuQuota: 50_000n,
          cpuPeriod: 100_000n,
          cpuShares: 512n,
          memoryLimitInBytes: 256n << 20n,
        },
      },
    });
    main = await pod.run("main", idle, {
      envs: [{ key: "GIVEN", value: "by kubelet" }],
      workingDir: "/tmp",
    });
  });

  afterAll(async () => {
    await scene?.stop();
    await scene?.containerd.stop();
    expect(scene?.containerd.leaks()).toEqual([]);
    await scene?.containerd.dispose();
  });

  const sh = (command: string, container = main) =>
    scene.exec(container, ["sh", "-c", command]).then(({ stdout }) => stdout);
  const statusOf = async (containerId: string) => {
    const { status } = await scene.client.call(cri.containerStatus, { containerId });
    if (status === undefined) throw new Error("no status");
    return status;
  };
  const ended = (containerId: string) =>
    waitUntil(
      async () => {
        const status = await statusOf(containerId);
        return status.state === ContainerState.CONTAINER_EXITED && status;
      },
      { what: "the container's end" },
    );
  const sandboxState = async ({ id }: CriPod) =>
    (await scene.client.call(cri.podSandboxStatus, { podSandboxId: id })).status?.state;
  const isRunning = (pid: number) =>
    existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  /** StopPodSandbox and RemovePodSandbox as kubelet calls them: more than once. */
  const endTwice = async ({ id }: CriPod) => {
    const call = { podSandboxId: id };
    for (let time = 0; time < 2; time += 1) await scene.client.call(cri.stopPodSandbox, call);
    for (let time = 0; time < 2; time += 1) await scene.client.call(cri.removePodSandbox, call);
    await waitUntil(() => !scene.containerd.bundles("k8s.io").includes(id), { what: "the bundle" });
  };

  describe("sandbox", () => {
    it("RunPodSandbox sizes the VM from linux.resources", async () => {
      expect(scene.vmOf(pod.id)).toMatchObject({ vcpus: 2, memoryMib: 2048 + 256 });
      expect((await sh("nproc")).trim()).toBe("2");
    });

    it("PodSandboxStatus: ready, with the IP the VM has, too", async () => {
      const { status } = await scene.client.call(cri.podSandboxStatus, { podSandboxId: pod.id });
      expect(status?.state).toBe(PodSandboxState.SANDBOX_READY);
      expect(status?.runtimeHandler).toBe("katasim");
      expect(status?.network?.ip).toMatch(/^10\.88\.0\.\d+$/);
      expect(await sh("ip -4 -o address show")).toContain(`${status?.network?.ip}/24`);
    });

    it("hostname and DNS configuration", async () => {
      expect(await sh("hostname; cat /etc/resolv.conf")).toBe(
        "first\nsearch default.svc.cluster.local\nnameserver 10.0.0.10\n",
      );
    });

    it("several containers share network, hostname, IPC and /dev/shm, but not processes", async () => {
      const second = await pod.run("second", idle);
      await sh(
        "echo shared >/dev/shm/note; (echo hello | nc -l -N 127.0.0.1 7000) >/dev/null 2>&1 &",
      );
      expect(await sh("cat /dev/shm/note; hostname", second)).toBe("shared\nfirst\n");
      await waitUntil(async () => (await sh("nc -N 127.0.0.1 7000", second)) === "hello\n", {
        what: "an answer from the other container",
      });
      expect(await sh("readlink /proc/self/ns/ipc", second)).toBe(
        await sh("readlink /proc/self/ns/ipc"),
      );
      expect(await sh("cat /proc/1/cmdline", second)).toContain("trap");
      await scene.client.call(cri.stopContainer, { containerId: second, timeout: 5n });
      await scene.client.call(cri.removeContainer, { containerId: second });
    });

    it("a runc pod beside it, on the same network", async () => {
      const trusted = await scene.pod("trusted", {}, "runc");
      const inside = await trusted.run("main", idle);
      const { status } = await scene.client.call(cri.podSandboxStatus, { podSandboxId: pod.id });
      await sh("(while :; do echo vm | nc -l -N 7001; done) >/dev/null 2>&1 &");
      await waitUntil(
        async () => (await sh(`nc -N ${status?.network?.ip} 7001`, inside)) === "vm\n",
        { what: "an answer from the VM's pod" },
      );
      expect(await sh("cat /proc/sys/kernel/random/boot_id", inside)).not.toBe(
        await sh("cat /proc/sys/kernel/random/boot_id"),
      );
      await endTwice(trusted);
    });
  });

  describe("container", () => {
    it("environment, working directory, user, groups", async () => {
      expect(await sh("echo $GIVEN; pwd")).toBe("by kubelet\n/tmp\n");
      const user = await pod.run("user", ["sh", "-c", "id -u; id -g; id -G; touch /x"], {
        linux: {
          securityContext: {
            runAsUser: { value: 1000n },
            runAsGroup: { value: 2000n },
            supplementalGroups: [3000n],
            readonlyRootfs: true,
            namespaceOptions: { pid: NamespaceMode.CONTAINER },
          },
        },
      });
      expect((await ended(user)).exitCode).toBe(1);
      expect(logTexts("user")).toEqual([
        ...["1000", "2000", "2000 3000"],
        "touch: cannot touch '/x': Read-only file system",
      ]);
    });

    it("StopContainer: SIGTERM, then SIGKILL after the grace period", async () => {
      const polite = await pod.run("polite", [
        "sh",
        "-c",
        "trap 'exit 7' TERM; while :; do sleep 0.1; done",
      ]);
      const deaf = await pod.run("deaf", ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]);
      await scene.client.call(cri.stopContainer, { containerId: polite, timeout: 20n });
      expect(await statusOf(polite)).toMatchObject({ exitCode: 7, reason: "Error" });
      await scene.client.call(cri.stopContainer, { containerId: deaf, timeout: 1n });
      expect(await statusOf(deaf)).toMatchObject({ exitCode: 137 });
    });

    it("exit code and reason of a container that ends by itself", async () => {
      const well = await pod.run("well", ["true"]);
      expect(await ended(well)).toMatchObject({ exitCode: 0, reason: "Completed" });
      const badly = await pod.run("badly", ["sh", "-c", "exit 42"]);
      expect(await ended(badly)).toMatchObject({ exitCode: 42, reason: "Error" });
    });

    it("StartContainer says which command does not exist", async () => {
      await expect(pod.run("missing", ["no-such-command"])).rejects.toMatchObject({
        details: expect.stringContaining(
          'exec: "no-such-command": executable file not found in $PATH',
        ),
      });
    });

    it("UpdateContainerResources changes the limits in the guest", async () => {
      const limited = await pod.run("limited", idle, {
        linux: {
          resources: { memoryLimitInBytes: 64n << 20n },
          securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER } },
        },
      });
      await scene.client.call(cri.updateContainerResources, {
        containerId: limited,
        linux: { memoryLimitInBytes: 128n << 20n, cpuQuota: 20_000n, cpuPeriod: 100_000n },
      });
      expect(await sh("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max", limited)).toBe(
        `${128 << 20}\n20000 100000\n`,
      );
    });

    it("container logs in the CRI's format, stdout and stderr apart", async () => {
      const talker = await pod.run("talker", ["sh", "-c", "echo out; echo err >&2; printf part"]);
      await ended(talker);
      const lines = logLines("talker").map((line) => line.replace(/^\S+Z /, ""));
      expect(lines.sort()).toEqual(["stderr F err", "stdout F out", "stdout P part"]);
    });

    it("ReopenContainerLog after a rotation", async () => {
      const rotated = await pod.run("rotated", [
        "sh",
        "-c",
        "while :; do echo tick; sleep 0.1; done",
      ]);
      const file = join(scene.logFolder("first"), "rotated.log");
      await waitUntil(() => logTexts("rotated").length > 0, { what: "a line" });
      renameSync(file, `${file}.1`);
      await scene.client.call(cri.reopenContainerLog, { containerId: rotated });
      await waitUntil(() => logTexts("rotated").length > 0, { what: "a line in the new file" });
      await scene.client.call(cri.stopContainer, { containerId: rotated, timeout: 0n });
    });

    it("ContainerStats, ListContainerStats: CPU time and working set from the guest", async () => {
      const { stats } = await scene.client.call(cri.containerStats, { containerId: main });
      expect(stats?.cpu?.usageCoreNanoSeconds?.value).toBeGreaterThan(0n);
      expect(stats?.memory?.workingSetBytes?.value).toBeGreaterThan(0n);
      expect(stats?.memory?.workingSetBytes?.value).toBeLessThan(256n << 20n);
      const listed = await scene.client.call(cri.listContainerStats, {
        filter: { podSandboxId: pod.id },
      });
      expect(listed.stats.map(({ attributes }) => attributes?.id)).toContain(main);
    });
  });

  const logLines = (name: string) => {
    const file = join(scene.logFolder("first"), `${name}.log`);
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
  };
  const logTexts = (name: string) => logLines(name).map((line) => line.replace(/^(\S+ ){3}/, ""));

  describe("streams", () => {
    it("ExecSync: exit code, stdout and stderr apart", async () => {
      const answer = await scene.exec(main, ["sh", "-c", "echo out; echo err >&2; exit 5"]);
      expect(answer).toMatchObject({ exitCode: 5, stdout: "out\n", stderr: "err\n" });
    });

    it("ExecSync: the timeout ends the process", async () => {
      await expect(scene.exec(main, ["sleep", "987"], 1)).rejects.toMatchObject({
        details: expect.stringContaining("timeout 1s exceeded"),
      });
      expect(await sh("grep -lz ^987 /proc/[0-9]*/cmdline 2>/dev/null || echo none")).toBe(
        "none\n",
      );
    });

    it("Exec: stdin, stdout, stderr, exit code", async () => {
      const { url } = await scene.client.call(cri.exec, {
        ...{
          containerId: main,
          cmd: ["sh", "-c", "read line; echo got $line; echo bad >&2; exit 3"],
        },
        ...{ stdin: true, stdout: true, stderr: true },
      });
      const session = await scene.streams.open(url);
      session.send(0, "words\n");
      await session.closed;
      expect([session.text(1), session.text(2)]).toEqual(["got words\n", "bad\n"]);
      expect(JSON.parse(session.text(3)).details.causes[0].message).toBe("3");
    });

    it("Exec with a terminal and its resizing", async () => {
      const { url } = await scene.client.call(cri.exec, {
        ...{ containerId: main, cmd: ["sh"], tty: true, stdin: true, stdout: true },
      });
      const session = await scene.streams.open(url);
      session.send(4, JSON.stringify({ Width: 101, Height: 33 }));
      await waitUntil(
        () => {
          session.send(0, "stty size\n");
          return session.text(1).includes("33 101");
        },
        { what: "the new size", describe: () => session.text(1) },
      );
      session.send(0, "exit 4\n");
      await session.closed;
      expect(JSON.parse(session.text(3)).details.causes[0].message).toBe("4");
    });

    it("Attach: output and input of the container's own process", async () => {
      const echo = await pod.run(
        "echo",
        ["sh", "-c", "while read line; do echo back $line; done; exit 6"],
        {
          ...{ stdin: true, stdinOnce: true },
        },
      );
      const { url } = await scene.client.call(cri.attach, {
        ...{ containerId: echo, stdin: true, stdout: true, stderr: true },
      });
      const session = await scene.streams.open(url);
      session.send(0, "one\n");
      await waitUntil(() => session.text(1).includes("back one\n"), { what: "the answer" });
      session.close();
      // stdinOnce: the client's leaving is the end of the input.
      expect((await ended(echo)).exitCode).toBe(6);
    });
  });

  describe("survival", () => {
    it("containerd is restarted: tasks are found again, exec works, exits are told", async () => {
      const brief = await pod.run("brief", [
        "sh",
        "-c",
        "while [ ! -e /dev/shm/go ]; do sleep 0.1; done; exit 9",
      ]);
      await sh("(sleep 3; touch /dev/shm/go) >/dev/null 2>&1 &");
      await scene.containerd.stop();
      await scene.containerd.start();
      expect(await sandboxState(pod)).toBe(PodSandboxState.SANDBOX_READY);
      expect(await sh("echo still here")).toBe("still here\n");
      expect((await ended(brief)).exitCode).toBe(9);
    });

    it("containerd is killed with SIGKILL: the same", async () => {
      await scene.containerd.stop("SIGKILL");
      await scene.containerd.start();
      expect(await sh("echo still here")).toBe("still here\n");
    });

    it("a container ends while containerd is away: its exit code is known afterwards", async () => {
      const away = await pod.run("away", ["sh", "-c", "sleep 1; exit 11"]);
      await scene.containerd.stop("SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      await scene.containerd.start();
      expect((await ended(away)).exitCode).toBe(11);
    });

    it("the VMM is killed: exit 137, sandbox not ready, clean-up works", async () => {
      const doomed = await scene.pod("vmm");
      const inside = await doomed.run("main", idle);
      process.kill(scene.vmOf(doomed.id).vmmPid, "SIGKILL");
      expect((await ended(inside)).exitCode).toBe(137);
      await waitUntil(
        async () => (await sandboxState(doomed)) === PodSandboxState.SANDBOX_NOTREADY,
        {
          what: "the sandbox to be not ready",
        },
      );
      await endTwice(doomed);
    });

    it("the shim is killed: the VM goes, too, containers are exited, clean-up works", async () => {
      const doomed = await scene.pod("shim");
      const inside = await doomed.run("main", idle);
      const { vmmPid, shimPid } = scene.vmOf(doomed.id);
      process.kill(shimPid, "SIGKILL");
      await waitUntil(() => !isRunning(vmmPid), { what: "the VMM's end" });
      expect((await ended(inside)).exitCode).toBeGreaterThan(0);
      await waitUntil(
        async () => (await sandboxState(doomed)) === PodSandboxState.SANDBOX_NOTREADY,
        {
          what: "the sandbox to be not ready",
        },
      );
      await endTwice(doomed);
    });

    it("StopPodSandbox and RemovePodSandbox, twice each, leave nothing", async () => {
      const { vmmPid, shimPid } = scene.vmOf(pod.id);
      await endTwice(pod);
      await waitUntil(() => !isRunning(vmmPid) && !isRunning(shimPid), { what: "the processes" });
      const { items } = await scene.client.call(cri.listPodSandbox, {});
      expect(items).toEqual([]);
      expect(scene.containerd.bundles("k8s.io")).toEqual([]);
    });
  });
});
