// VMs that wait for pods: each serves one, as one of its own, and none is left.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyReady, deletePods, pod, previewClass } from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";
import { waitUntil } from "../support/wait-until.ts";

interface Pool {
  readonly ready: number;
  readonly wanted: number;
  readonly served: number;
  readonly missed: number;
}

describe("the warm pool", () => {
  let simulator: Simulator;
  const sandboxed = { runtimeClassName: previewClass };

  beforeAll(async () => {
    simulator = await startSimulator({ up: ["--warm-pool", "1"] });
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });

  const pool = async (): Promise<Pool> => {
    const status = JSON.parse(await simulator.katasimOk(["status", "-o", "json"]));
    return status.agent.pool;
  };
  const full = () =>
    waitUntil(async () => (await pool()).ready === 1, {
      what: "a VM to wait",
      timeoutMs: 60_000,
      describe: async () => JSON.stringify(await pool()),
    });
  const show = async (name: string) =>
    JSON.parse(await simulator.katasimOk(["sandbox", "show", name, "-o", "json"]));
  const inside = async (name: string, command: string) =>
    (await simulator.kubectl.ok(["exec", name, "--", "/bin/sh", "-c", command])).trim();

  it("gives each pod a VM of its own: seed, clock, names, disk and network", async () => {
    const facts = [];
    for (const name of ["one", "two"]) {
      await full();
      await applyReady(simulator.kubectl, pod(name, sandboxed));
      const { vm, ip } = await show(name);
      expect(vm).toMatchObject({ startKind: "pool", vcpus: 1, memoryMib: 2048 });
      expect(await inside(name, "hostname")).toBe(name);
      expect(await inside(name, "hostname -i || cat /etc/hosts")).toContain(ip);
      const guestSeconds = Number(await inside(name, "date +%s"));
      expect(Math.abs(guestSeconds - Date.now() / 1000)).toBeLessThan(5);
      // What the rehearsal and others left would show.
      expect(await inside(name, "ls -A /tmp; find / -xdev -name '*rehears*'")).toBe("");
      expect(await inside(name, "echo mine > /mine && cat /mine")).toBe("mine");
      facts.push({
        bootId: await inside(name, "cat /proc/sys/kernel/random/boot_id"),
        random: await inside(name, "head -c 16 /dev/urandom | od -An -tx1"),
        mac: await inside(name, "cat /sys/class/net/eth0/address"),
        vmmUid: vm.vmmUid,
        pid: vm.vmmPid,
      });
    }
    for (const key of ["bootId", "random", "mac", "vmmUid", "pid"] as const) {
      expect(new Set(facts.map((fact) => fact[key])).size, key).toBe(2);
    }
    expect(await pool()).toMatchObject({ wanted: 1, served: 2, missed: 0 });
  });

  it("clones a VM for a pod that wants another, and keeps such a one for the next", async () => {
    await full();
    const limited = { resources: { limits: { cpu: "1", memory: "64Mi" } } };
    const large = (name: string) => pod(name, { ...sandboxed, containers: [limited] });
    await applyReady(simulator.kubectl, large("three"));
    expect((await show("three")).vm).toMatchObject({ startKind: "template", vcpus: 2 });
    await full();
    await applyReady(simulator.kubectl, large("four"));
    expect((await show("four")).vm).toMatchObject({ startKind: "pool", vcpus: 2 });
    await deletePods(simulator.kubectl, "one", "two", "three", "four");
  });
});
