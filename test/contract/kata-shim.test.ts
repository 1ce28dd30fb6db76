/**
 * The adapter with Kata's shim: played after its source where the real one cannot run (test/fakes/kata).
 * kata-genuine.test.ts does it with the real one. Needs root.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { genuineKata } from "../../simulator/runtime/kata/choice.ts";
import type { ContainerSpec, SandboxStatus } from "../../simulator/runtime-port.ts";
import { type FakeKata, installFakeKata } from "../fakes/kata/install.ts";
import { waitUntil } from "../support/wait-until.ts";
import {
  containerSpec,
  openTestNode,
  sandboxSpec,
  type TestNode,
  whyNoRunc,
} from "./node-support/test-node.ts";
import { traces } from "./node-support/traces.ts";

const why = whyNoRunc();
if (why !== undefined) console.warn(`skipped: containers cannot run here: ${why}`);
const mib = 1024 * 1024;

describe.skipIf(why !== undefined)("handler kata on Kata's shim", () => {
  const home = mkdtempSync("/tmp/kt-");
  const name = `kt${process.pid}`;
  let kata: FakeKata;
  let node: TestNode;
  let pod: SandboxStatus;

  const open = () =>
    openTestNode(home, name, {
      handlers: [genuineKata({ configFile: kata.configuration })],
      // This machine's KVM is not what is tried here.
      prove: async () => ({ usable: true, explanation: "played" }),
    });
  const run = (uid: string, change: Parameters<typeof sandboxSpec>[0] = {}) =>
    node.runtime.runSandbox("kata", sandboxSpec({ podUid: uid, ...change }));
  const start = async (sandbox: SandboxStatus, script: string, change?: Partial<ContainerSpec>) => {
    const unique = `c${Math.random().toString(36).slice(2)}`;
    const spec = containerSpec(node, script, { name: unique, ...change });
    const { id } = await node.runtime.createContainer(sandbox.id, spec);
    return node.runtime.startContainer(id);
  };
  const ended = async (id: string) => {
    await waitUntil(async () => (await node.runtime.containerStatus(id))?.state === "exited", {
      what: "the container's end",
    });
    return node.runtime.containerStatus(id);
  };
  const exec = async (id: string, command: string[], input?: string) => {
    const session = await node.runtime.exec(id, {
      command,
      tty: false,
      stdin: input !== undefined,
    });
    session.stdin?.end(input);
    const [out, error] = await Promise.all([
      text(session.stdout),
      session.stderr === undefined ? "" : text(session.stderr),
    ]);
    return { out, error, code: await session.exitCode };
  };
  /** What the VMM was really started with. */
  const vmmArguments = (sandbox: SandboxStatus) =>
    readFileSync(`/proc/${sandbox.vm?.pid}/cmdline`, "utf8").split("\0");

  /** A killed one whose parent is gone may stay a zombie for a while. */
  const vmmRuns = (sandbox: SandboxStatus) =>
    existsSync(`/proc/${sandbox.vm?.pid}`) && vmmArguments(sandbox).join("") !== "";
  const onPath = () => vi.stubEnv("PATH", `${kata.folder}:${process.env.PATH}`);

  beforeAll(async () => {
    kata = await installFakeKata(join(home, "kata"));
    onPath();
    node = await open();
    pod = await run("first");
  });
  // Each test begins without what was stubbed before it.
  beforeEach(() => onPath());
  afterAll(async () => {
    onPath();
    for (const sandbox of (await node?.runtime.listSandboxes()) ?? []) {
      await node.runtime.removeSandbox(sandbox.id);
    }
    await node?.network.destroy();
    await node?.close();
    expect(await traces(name, home)).toEqual([]);
    expect(existsSync("/run/kata-played") ? readdirSync("/run/kata-played") : []).toEqual([]);
    rmSync(home, { recursive: true, force: true });
  });

  it("tells what it knows of the VM and invents nothing", () => {
    expect(pod.vm).toEqual({
      hypervisor: "cloud-hypervisor",
      accelerator: "kvm",
      vcpus: 1,
      memoryMib: 2048,
      pid: expect.any(Number),
      sizedBy: kata.configuration,
    });
    expect(vmmArguments(pod).join(" ")).toContain(pod.id);
  });

  it("runs containers on overlays in the shim's own mounts: output, exit codes, exec", async () => {
    const container = await start(pod, "echo out; echo err >&2; cat /etc/hostname; exit 7");
    expect(await ended(container.id)).toMatchObject({ exitCode: 7, reason: "Error" });
    const log = readFileSync(container.logPath, "utf8");
    expect(log).toMatch(/stdout F out\n/);
    expect(log).toMatch(/stderr F err\n/);
    expect(log).toMatch(/stdout F pod-host\n/);
    const mounts = readFileSync("/proc/self/mountinfo", "utf8");
    expect(mounts).not.toContain(`${pod.id}/${container.id}`);

    const { id } = await start(pod, "exec sleep 1000");
    expect(await exec(id, ["sh", "-c", "cat; echo b >&2; exit 3"], "a")).toEqual({
      ...{ out: "a", error: "b\n", code: 3 },
    });
    await expect(exec(id, ["no-such-program"])).rejects.toMatchObject({
      message: expect.stringContaining(`cannot enter container ${id}`),
      details: { exitCode: 127 },
    });
    const usage = await node.runtime.usage(pod.id);
    expect(
      usage.find(({ containerId }) => containerId === id)?.memoryWorkingSetBytes,
    ).toBeGreaterThan(0);
    await node.runtime.stopContainer(id, 0);
    expect(await node.runtime.containerStatus(id)).toMatchObject({ exitCode: 137 });
  });

  it("shares a pod's host name and its 64 MiB of /dev/shm between its containers", async () => {
    const first = await start(pod, "echo there > /dev/shm/note; exec sleep 1000");
    const second = await start(pod, "exec sleep 1000");
    await waitUntil(
      async () => (await exec(second.id, ["cat", "/dev/shm/note"])).out === "there\n",
      { what: "the note in shared memory" },
    );
    expect((await exec(second.id, ["hostname"])).out).toBe("pod-host\n");
    const mounts = (await exec(second.id, ["cat", "/proc/mounts"])).out;
    expect(mounts).toMatch(/ \/dev\/shm tmpfs [^\n]*size=65536k/);
    for (const { id } of [first, second]) await node.runtime.stopContainer(id, 0);
  });

  it.each([
    [{ cpuQuotaUs: 50_000, cpuPeriodUs: 100_000, memoryBytes: 256 * mib }, [2, 2304]],
    [{ cpuQuotaUs: 250_000, cpuPeriodUs: 100_000, memoryBytes: 4096 * mib }, [4, 6144]],
  ])("says the size that Kata's configuration makes: %j", async (resources, [vcpus, memoryMib]) => {
    const sandbox = await run("sized", { resources });
    expect(sandbox.vm).toMatchObject({ vcpus, memoryMib });
    expect(vmmArguments(sandbox)).toEqual(
      expect.arrayContaining([`boot=${vcpus}`, `size=${memoryMib}M`]),
    );
    await node.runtime.removeSandbox(sandbox.id);
  });

  it("passes Kata's own refusal on, and leaves nothing of the sandbox", async () => {
    kata.configure(
      ["default_vcpus = 0", "default_memory = 0"],
      [
        "static_sandbox_resource_mgmt = true",
        ...[
          "static_sandbox_default_workload_mem = 512",
          "static_sandbox_default_workload_vcpus = 1",
        ],
      ],
    );
    const small = run("small", { resources: { memoryBytes: 100 * mib } });
    await expect(small).rejects.toThrow(
      "failed to create containerd task: failed to create shim task: pod memory limit too low: minimum 128MiB, got 100MiB: unknown",
    );
    const fitting = await run("fitting", { resources: { memoryBytes: 300 * mib } });
    expect(fitting.vm).toMatchObject({ vcpus: 1, memoryMib: 300 });
    await node.runtime.removeSandbox(fitting.id);
    kata.configure(
      ["default_vcpus = 1", "default_memory = 2048"],
      ["static_sandbox_resource_mgmt = true"],
    );
  });

  it("never falls back: a sandbox is refused with each thing that is missing", async () => {
    kata.configure(['virtio_fs_daemon = "/no/virtiofsd"', 'shared_fs = "virtio-fs"'], []);
    await expect(run("refused")).rejects.toMatchObject({
      code: "HANDLER_UNUSABLE",
      message: expect.stringContaining("/no/virtiofsd does not exist"),
    });
    const [status] = await node.runtime.handlers();
    expect(status).toMatchObject({ usable: false, name: "kata" });
    expect(status?.reason).toContain("/no/virtiofsd does not exist");
    kata.configure(
      ["default_vcpus = 1", "default_memory = 2048"],
      ["static_sandbox_resource_mgmt = true"],
    );
    expect((await node.runtime.handlers())[0]).toMatchObject({
      ...{
        usable: true,
        hypervisor: "cloud-hypervisor",
        accelerator: "kvm",
        sizingProfile: "kata-go",
      },
      engine: "containerd-shim-kata-v2 (4.1.0-played, Go)",
      kataConfiguration: kata.configuration,
    });
  });

  it("reaches ports at the pod's address", async () => {
    const server = await start(pod, "", {
      command: ["socat", "TCP-LISTEN:8080,fork,reuseaddr", "EXEC:cat"],
    });
    await waitUntil(
      async () => (await exec(server.id, ["cat", "/proc/net/tcp"])).out.includes(":1F90 "),
      { what: "the server" },
    );
    const stream = await node.runtime.portForward(pod.id, 8080);
    stream.write("ping");
    const answer = await new Promise<Buffer>((resolve) => stream.once("data", resolve));
    expect(answer.toString()).toBe("ping");
    stream.destroy();
    await expect(node.runtime.portForward(pod.id, 8081)).rejects.toThrow(
      `dial tcp4 ${pod.ip}:8081: connect: connection refused (genuine Kata: at the pod's address)`,
    );
    await node.runtime.stopContainer(server.id, 0);
  });

  it("tells an OOM kill by the shim's event", async () => {
    const container = await start(pod, "", {
      command: ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"],
      resources: { memoryBytes: 32 * mib },
    });
    await ended(container.id);
    await waitUntil(
      async () => (await node.runtime.containerStatus(container.id))?.reason === "OOMKilled",
      { what: "the word of the OOM kill" },
    );
  });

  it("ends a pod whose VMM was killed: 255, and the sandbox is not ready", async () => {
    const sandbox = await run("vmm");
    const { id } = await start(sandbox, "exec sleep 1000");
    process.kill(sandbox.vm?.pid ?? 0, "SIGKILL");
    expect(await ended(id)).toMatchObject({ exitCode: 255, reason: "Error" });
    await waitUntil(
      async () => (await node.runtime.sandboxStatus(sandbox.id))?.state === "notready",
      { what: "the sandbox's end" },
    );
    expect((await node.runtime.sandboxStatus(sandbox.id))?.reason).toContain("the virtual machine");
    await node.runtime.removeSandbox(sandbox.id);
  });

  it("ends a pod whose shim was killed, with its VM", async () => {
    const sandbox = await run("shim");
    const { id } = await start(sandbox, "exec sleep 1000");
    const bundle = join(node.paths.sandboxes, sandbox.id, sandbox.id);
    process.kill(Number(readFileSync(join(bundle, "shim.pid"), "utf8")), "SIGKILL");
    expect(await ended(id)).toMatchObject({ exitCode: 137 });
    await node.runtime.removeSandbox(sandbox.id);
    expect(vmmRuns(sandbox)).toBe(false);
  });

  it("goes on with Kata's sandboxes after a restart, though the handler is katasim's now", async () => {
    const sandbox = await run("restart");
    const { id } = await start(sandbox, "read line; exit 5", { stdin: true });
    await node.close();
    node = await openTestNode(home, name);
    expect(await node.runtime.sandboxStatus(sandbox.id)).toMatchObject({
      state: "ready",
      vm: { pid: sandbox.vm?.pid, sizedBy: kata.configuration },
    });
    const late = await start(sandbox, "echo late");
    expect(await ended(late.id)).toMatchObject({ exitCode: 0 });
    const session = await node.runtime.attach(id, { stdin: true });
    session.stdin?.write("go\n");
    expect(await ended(id)).toMatchObject({ exitCode: 5 });
    await node.runtime.removeSandbox(sandbox.id);
    expect(vmmRuns(sandbox)).toBe(false);
    await node.close();
    node = await open();
  });
});
