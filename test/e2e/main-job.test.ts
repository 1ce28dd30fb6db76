// The product's promise in one file: the two manifests of Microsoft's Pod Sandboxing page, genuine
// kubectl, two kernels.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { release } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Rung, rungName } from "../../runtime-shim/hypervisors/ladder.ts";
import { waitReady } from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";
import { waitUntil } from "../support/wait-until.ts";

const manifests = join(import.meta.dirname, "..", "..", "scripts", "demo-pods");
const hostBootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** By the process that runs the guest: its program, and the device that it has open. */
function rungOf(vmmPid: number): Rung {
  const program = basename(readlinkSync(`/proc/${vmmPid}/exe`));
  const files = readdirSync(`/proc/${vmmPid}/fd`).map((fd) =>
    readlinkSync(`/proc/${vmmPid}/fd/${fd}`),
  );
  return {
    hypervisor: program.startsWith("qemu-system") ? "qemu" : "cloud-hypervisor",
    accelerator: (["mshv", "kvm"] as const).find((name) => files.includes(`/dev/${name}`)) ?? "tcg",
  };
}

describe("the main job", () => {
  let simulator: Simulator;
  const exec = async (pod: string, command: string) =>
    (await simulator.kubectl.ok(["exec", pod, "--", "/bin/sh", "-c", command])).trim();
  const bootId = (pod: string) => exec(pod, "cat /proc/sys/kernel/random/boot_id");

  beforeAll(async () => {
    simulator = await startSimulator();
    await simulator.kubectl.ok(["apply", "-f", join(manifests, "trusted.yaml")]);
    await simulator.kubectl.ok(["apply", "-f", join(manifests, "untrusted.yaml")]);
    await waitReady(simulator.kubectl, "trusted");
    await waitReady(simulator.kubectl, "untrusted");
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });

  it("runs the trusted pod on this machine's kernel", async () => {
    expect(await exec("trusted", "uname -r")).toBe(release());
    expect(await bootId("trusted")).toBe(hostBootId);
  });

  it("runs the untrusted pod on a kernel of its own", async () => {
    expect(await exec("untrusted", "uname -r")).not.toBe(release());
    const own = await bootId("untrusted");
    expect(own).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(own).not.toBe(hostBootId);
  });

  it("gives the sandbox the size that `katasim size` announces", async () => {
    const manifest = join(manifests, "untrusted.yaml");
    const size = JSON.parse(await simulator.katasimOk(["size", manifest, "-o", "json"]));
    expect(size).toMatchObject({ kind: "PodSize", vcpus: 1, memoryMib: 2048 });
    expect(await exec("untrusted", "nproc")).toBe("1");
    const kib = Number(await exec("untrusted", "awk '/MemTotal/ {print $2}' /proc/meminfo"));
    // The kernel keeps some of the 2048 MiB for itself.
    expect(kib).toBeGreaterThan(1850 * 1024);
    expect(kib).toBeLessThanOrEqual(2048 * 1024);
  });

  it("keeps the pods' output", async () => {
    for (const pod of ["trusted", "untrusted"]) {
      expect(await simulator.kubectl.ok(["logs", pod])).toMatch(/^(\.\n)+$/);
    }
  });

  it("lists the sandbox with its VM and the trusted one without", async () => {
    const list = JSON.parse(await simulator.katasimOk(["sandbox", "list", "-o", "json"]));
    expect(list).toMatchObject({ apiVersion: "katasim/v1", kind: "SandboxList" });
    const of = (pod: string) => list.items.find((item: { pod: string }) => item.pod === pod);
    expect(of("trusted").vm).toBeUndefined();
    expect(of("untrusted")).toMatchObject({ state: "ready", handler: "kata-mshv-vm-isolation" });
    expect(of("untrusted").vm.bootId).toBe(await bootId("untrusted"));
    expect(of("untrusted").vm.kernelRelease).toBe(await exec("untrusted", "uname -r"));
    const { memory } = of("untrusted");
    expect(memory.measure).toBe("pss");
    expect(memory.vmmBytes).toBeGreaterThan(20 * 2 ** 20);
    expect(memory.shimBytes).toBeGreaterThan(5 * 2 ** 20);
    expect(memory.totalBytes).toBe(memory.vmmBytes + memory.shimBytes + memory.otherBytes);
    expect(of("trusted").memory).toMatchObject({ vmmBytes: 0 });
    // Its containers run on this machine's kernel, below the shim.
    expect(of("trusted").memory.otherBytes).toBeGreaterThan(0);
    const status = JSON.parse(await simulator.katasimOk(["status", "-o", "json"]));
    const { vmmBytes, shimBytes, totalBytes } = status.sandboxMemory;
    expect(vmmBytes).toBeGreaterThan(20 * 2 ** 20);
    expect(totalBytes).toBeGreaterThan(vmmBytes + shimBytes);
  });

  it("tells the steps of each pod's start, in order", async () => {
    const shown = (pod: string) =>
      waitUntil(
        async () => {
          const view = JSON.parse(
            await simulator.katasimOk(["sandbox", "show", pod, "-o", "json"]),
          );
          const steps: Array<{ step: string; sinceBeforeMs: number }> = view.timeline;
          return steps.at(-1)?.step === "Running patched" && steps;
        },
        { what: `the whole timeline of ${pod}` },
      );
    const common = [
      "apply seen",
      "start slot",
      "sandbox begun",
      "network attached",
      "shim up",
      "sandbox ready",
      "image present",
      "container created",
      "container started",
      "Running patched",
    ];
    for (const pod of ["trusted", "untrusted"]) {
      const steps = await shown(pod);
      const names = steps.map(({ step }) => step);
      expect(names.filter((name) => common.includes(name))).toEqual(common);
      for (const { sinceBeforeMs } of steps) expect(sinceBeforeMs).toBeGreaterThanOrEqual(0);
    }
    const guest = ["agent answers", "identity done", "sandbox ready"];
    const untrusted = (await shown("untrusted")).map(({ step }) => step);
    expect(untrusted.filter((name) => guest.includes(name))).toEqual(guest);
    expect(untrusted).toEqual(expect.arrayContaining(["VMM executed", "network up"]));
    const table = await simulator.katasimOk(["sandbox", "show", "untrusted", "--timeline"]);
    expect(table).toMatch(/^STEP +SINCE FIRST +SINCE BEFORE\napply seen +0\.0 ms +0\.0 ms\n/);
    expect(table).toMatch(/\nRunning patched +\d+\.\d ms +\d+\.\d ms\n$/);
  });

  it("says on which rung it stands, on the node, the pod and in JSON", async () => {
    const json = async (...words: string[]) =>
      JSON.parse(await simulator.katasimOk([...words, "-o", "json"]));
    const shown = await json("sandbox", "show", "untrusted");
    const rung = rungOf(shown.vm.vmmPid);
    const { hypervisor, accelerator } = rung;
    const software = accelerator === "tcg";
    const marks = {
      "katasim.dev/hypervisor": hypervisor,
      "katasim.dev/accelerator": accelerator,
    };
    const node = JSON.parse(
      await simulator.kubectl.ok(["get", "node", simulator.nodeName, "-o", "json"]),
    );
    expect(node.metadata.labels).toMatchObject(marks);
    expect(node.status.conditions).toContainEqual(
      expect.objectContaining({
        type: "katasim.dev/HardwareVirtualization",
        status: software ? "False" : "True",
        reason: software ? "SoftwareEmulation" : "HardwareAcceleration",
        message: expect.stringContaining(`sandboxes run on ${rungName(rung)}: `),
      }),
    );

    const metadata = async (pod: string) =>
      JSON.parse(await simulator.kubectl.ok(["get", "pod", pod, "-o", "json"])).metadata;
    expect((await metadata("untrusted")).annotations).toMatchObject(marks);
    expect((await metadata("trusted")).annotations ?? {}).not.toHaveProperty([
      "katasim.dev/hypervisor",
    ]);
    const booted = ["get", "events", "--field-selector=reason=SandboxBooted", "-o", "json"];
    const events = JSON.parse(await simulator.kubectl.ok(booted)).items;
    expect(events).toEqual([
      expect.objectContaining({
        involvedObject: expect.objectContaining({ kind: "Pod", name: "untrusted" }),
        message: expect.stringContaining(
          `${rungName(rung)} (${software ? "software emulation" : "hardware virtualization"})`,
        ),
      }),
    ]);

    const named = expect.objectContaining({
      pod: "untrusted",
      vm: expect.objectContaining(rung),
    });
    expect((await json("sandbox", "list")).items).toContainEqual(named);
    expect(shown).toEqual(named);
    expect((await json("status")).sandboxes).toContainEqual(named);
    expect((await json("runtime", "list")).items).toContainEqual(
      expect.objectContaining({ name: "kata-mshv-vm-isolation", usable: true, ...rung }),
    );
  });

  it("shows the console of the sandbox's VM", async () => {
    const shown = await simulator.katasimOk(["sandbox", "console", "untrusted", "--no-follow"]);
    const sandbox = JSON.parse(
      await simulator.katasimOk(["sandbox", "show", "untrusted", "-o", "json"]),
    );
    expect(shown).toBe(readFileSync(sandbox.consoleLog, "utf8"));
    const trusted = await simulator.katasim(["sandbox", "console", "trusted", "--no-follow"]);
    expect(trusted.exitCode).toBe(4);
    expect(trusted.stderr).toContain("it runs on the node's own kernel");
  });

  it("is running by its own account", async () => {
    const status = await simulator.katasim(["status", "-o", "json"]);
    expect(status.exitCode).toBe(0);
    const idle = { inside: 0, waiting: 0, places: expect.any(Number) };
    const { availableMib, totalMib } = JSON.parse(status.stdout).agent.memory;
    expect(JSON.parse(status.stdout)).toMatchObject({
      kind: "Status",
      state: "running",
      agent: {
        starts: { sandboxed: idle, trusted: idle },
        memory: { reserveMib: expect.any(Number), promisedMib: 0 },
      },
    });
    expect(availableMib).toBeLessThan(totalMib);
    const table = await simulator.katasimOk(["status"]);
    expect(table).toMatch(/\nVM starts +starting 0 of at most \d+, waiting 0\n/);
  });

  it("is already running for a second up", async () => {
    const again = await simulator.up();
    expect(again.exitCode).toBe(0);
    expect(again.stderr).toContain("is already running");
  });
});
