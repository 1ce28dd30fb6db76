/**
 * What cri-tools' critest asks of a runtime, as far as cri.test.ts does not: by genuine containerd with
 * our handler. Titles become rows of README.md here; not-supported.test.ts has what is missing, and why.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ContainerState, NamespaceMode, PodSandboxState } from "../../proto/cri/gen/runtime_pb.js";
import { containerdObstacle } from "../support/containerd.ts";
import { type ContainerConfig, type CriPod, cri } from "../support/cri-client.ts";
import { type CriScene, startCriScene } from "../support/cri-scene.ts";
import { waitUntil } from "../support/wait-until.ts";

const why = containerdObstacle({ cri: true });
if (why !== undefined) console.warn(`skipped: ${why}`);

const idle = ["sleep", "1000"];

describe.skipIf(why !== undefined)("CRI, as critest asks", () => {
  let scene: CriScene;
  let pod: CriPod;
  let given: string;

  beforeAll(async () => {
    scene = await startCriScene();
    given = join(scene.containerd.folder, "given");
    mkdirSync(given);
    writeFileSync(join(given, "note"), "from the host\n");
    pod = await scene.pod("critest", {
      labels: { app: "critest" },
      linux: { sysctls: { "net.ipv4.ip_unprivileged_port_start": "1024" } },
    });
  });
  afterAll(async () => {
    await scene?.stop();
    await scene?.containerd.stop();
    expect(scene?.containerd.leaks()).toEqual([]);
    await scene?.containerd.dispose();
  });

  let runs = 0;
  /** Runs a script in a container of its own to its end; what it printed, line by line. */
  const printed = async (
    script: string,
    securityContext: object = {},
    more: ContainerConfig = {},
  ) => {
    runs += 1;
    const name = `c${runs}`;
    const namespaceOptions = { pid: NamespaceMode.CONTAINER };
    const id = await pod.run(name, ["sh", "-c", script], {
      linux: { securityContext: { namespaceOptions, ...securityContext } },
      ...more,
    });
    await waitUntil(async () => (await stateOf(id)) === ContainerState.CONTAINER_EXITED, {
      what: `the end of ${script}`,
    });
    const log = readFileSync(join(scene.logFolder("critest"), `${name}.log`), "utf8");
    return log.split("\n").flatMap((line) => (line === "" ? [] : line.replace(/^(\S+ ){3}/, "")));
  };
  const stateOf = async (containerId: string) =>
    (await scene.client.call(cri.containerStatus, { containerId })).status?.state;

  it("Version and Status: runtime and network are ready", async () => {
    const version = await scene.client.call(cri.version, {});
    expect(version.runtimeName).toBe("containerd");
    const { status } = await scene.client.call(cri.status, {});
    expect(status?.conditions.map(({ type, status: on }) => [type, on])).toEqual([
      ["RuntimeReady", true],
      ["NetworkReady", true],
    ]);
  });

  it("a container without a limit: CREATED, RUNNING, EXITED, and gone after RemoveContainer", async () => {
    const { containerId } = await scene.client.call(cri.createContainer, {
      ...{ podSandboxId: pod.id, sandboxConfig: pod.config },
      config: {
        metadata: { name: "steps" },
        image: { image: "docker.io/library/katasim-base:1" },
        command: idle,
      },
    });
    expect(await stateOf(containerId)).toBe(ContainerState.CONTAINER_CREATED);
    await scene.client.call(cri.startContainer, { containerId });
    expect(await stateOf(containerId)).toBe(ContainerState.CONTAINER_RUNNING);
    await scene.client.call(cri.stopContainer, { containerId, timeout: 0n });
    expect(await stateOf(containerId)).toBe(ContainerState.CONTAINER_EXITED);
    await scene.client.call(cri.removeContainer, { containerId });
    await expect(stateOf(containerId)).rejects.toMatchObject({ code: 5 });
  });

  it("RemoveContainer of a running container ends it", async () => {
    const containerId = await pod.run("doomed", idle);
    await scene.client.call(cri.removeContainer, { containerId });
    await expect(stateOf(containerId)).rejects.toMatchObject({ code: 5 });
  });

  it("a second container of one name is refused", async () => {
    const containerId = await pod.run("twin", idle);
    await expect(pod.run("twin", idle)).rejects.toMatchObject({
      details: expect.stringContaining("is reserved for"),
    });
    await scene.client.call(cri.removeContainer, { containerId });
  });

  it("a container of an image that does not exist leaves nothing", async () => {
    const before = scene.containerd.bundles("k8s.io");
    const broken = pod.run("broken", idle, { image: { image: "no.such/image:1" } });
    await expect(broken).rejects.toMatchObject({ details: expect.stringContaining("not found") });
    const { containers } = await scene.client.call(cri.listContainers, {});
    expect(containers.map(({ metadata }) => metadata?.name)).not.toContain("broken");
    expect(scene.containerd.bundles("k8s.io")).toEqual(before);
  });

  it("a container that cannot start leaves no process, and its sandbox goes on", async () => {
    await expect(pod.run("nowhere", ["/no/such"])).rejects.toMatchObject({
      details: expect.stringContaining("no such file or directory"),
    });
    expect(await printed("echo on")).toEqual(["on"]);
  });

  it("sysctls of the pod, host name in /etc/hostname", async () => {
    const script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /etc/hostname";
    expect(await printed(script)).toEqual(["1024", "critest"]);
  });

  it("a folder of the host as a volume, read-only", async () => {
    const mounts = [{ hostPath: given, containerPath: "/given", readonly: true }];
    const script = "cat /given/note; touch /given/x 2>/dev/null || echo refused";
    expect(await printed(script, {}, { mounts })).toEqual(["from the host", "refused"]);
  });

  it("RunAsUser, RunAsGroup, SupplementalGroups", async () => {
    const context = {
      runAsUser: { value: 1001n },
      runAsGroup: { value: 1002n },
      supplementalGroups: [1003n],
    };
    expect(await printed("id -u; id -g; id -G", context)).toEqual(["1001", "1002", "1002 1003"]);
  });

  it("adding and dropping capabilities", async () => {
    const script = "mount -t tmpfs none /mnt 2>/dev/null && echo mounted || echo refused";
    expect(await printed(script, { capabilities: { addCapabilities: ["SYS_ADMIN"] } })).toEqual([
      "mounted",
    ]);
    const drop = { capabilities: { dropCapabilities: ["ALL"] } };
    expect(await printed("grep CapEff /proc/self/status | cut -f 2", drop)).toEqual([
      "0000000000000000",
    ]);
  });

  it("NoNewPrivs, read-only root", async () => {
    const script =
      "grep NoNewPrivs /proc/self/status | cut -f 2; touch /x 2>/dev/null || echo refused";
    expect(await printed(script, { noNewPrivs: true, readonlyRootfs: true })).toEqual([
      ...["1", "refused"],
    ]);
  });

  it("Privileged: every capability of the guest, none of the host's devices", async () => {
    const privileged = await scene.pod("privileged", {
      linux: { securityContext: { privileged: true } },
    });
    const id = await privileged.run("main", idle, {
      linux: { securityContext: { privileged: true } },
    });
    const script = "mount -t tmpfs none /mnt && echo mounted; ls /dev/kvm 2>/dev/null || echo none";
    expect((await scene.exec(id, ["sh", "-c", script])).stdout).toBe("mounted\nnone\n");
    // RemovePodSandbox of a sandbox that runs ends it.
    await scene.client.call(cri.removePodSandbox, { podSandboxId: privileged.id });
    const { items } = await scene.client.call(cri.listPodSandbox, {});
    expect(items.map(({ id: podId }) => podId)).toEqual([pod.id]);
  });

  it("PodPID: containers that share the pod's process namespace see each other", async () => {
    const shared = { linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.POD } } } };
    const id = await pod.run("seen", ["sleep", "4711"], shared);
    const other = await pod.run("seer", idle, shared);
    const { stdout } = await scene.exec(other, [
      ...["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -cx 4711"],
    ]);
    expect(Number(stdout)).toBeGreaterThan(0);
    for (const containerId of [id, other])
      await scene.client.call(cri.removeContainer, { containerId });
  });

  describe("PortForward", () => {
    let main: string;
    beforeAll(async () => {
      main = await pod.run("server", idle);
    });
    const serve = (port: number, words: string) =>
      scene.exec(main, [
        "sh",
        "-c",
        `(while [ ! -e /tmp/closed-${port} ]; do echo ${words} | nc -l -N ${port}; done) >/dev/null 2>&1 &`,
      ]);
    /** All that came from the port, and what the server says went wrong. */
    const forward = async (port: number, podSandboxId = pod.id) => {
      const { url } = await scene.client.call(cri.portForward, { podSandboxId, port: [port] });
      const session = await scene.streams.open(`${url}?port=${port}`);
      session.send(0, "GET\n");
      await session.closed;
      return { data: session.text(0).slice(2), error: session.text(1).slice(2) };
    };

    it("reaches a program that listens in the guest", async () => {
      await serve(8080, "from-the-guest");
      await waitUntil(async () => (await forward(8080)).data === "from-the-guest\n", {
        what: "the guest's words",
        describe: async () => JSON.stringify(await forward(8080)),
      });
    });

    it("says that nothing listens there", async () => {
      expect((await forward(8081)).error).toContain("127.0.0.1:8081: connect: connection refused");
    });
  });

  it("everything is listed again after containerd was restarted", async () => {
    const containerId = await pod.run("stays", idle, { labels: { tier: "x" } });
    await scene.containerd.stop();
    await scene.containerd.start();
    const { items } = await scene.client.call(cri.listPodSandbox, {});
    expect(items.map(({ id, state }) => [id, state])).toEqual([
      [pod.id, PodSandboxState.SANDBOX_READY],
    ]);
    const { containers } = await scene.client.call(cri.listContainers, {
      filter: { id: containerId },
    });
    expect(containers.map(({ state }) => state)).toEqual([ContainerState.CONTAINER_RUNNING]);
  });
});
