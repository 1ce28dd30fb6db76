/** What a sandbox may take of the machine, read from the kernel's own files for a real VM. */
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { VmRecord } from "../../runtime-shim/shim-options.ts";
import { vmTestObstacle } from "../support/guest-image.ts";
import { sandboxSpec } from "../support/oci-specs.ts";
import type { ShimDriver } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";
import { createShimScene } from "./shim-scene.ts";

const why = vmTestObstacle();
const unified = existsSync("/sys/fs/cgroup/cgroup.controllers");

/** The folder of a process's cgroup in the tree of a controller. */
function folderOf(pid: number, controller: string): string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n");
  const line = lines.find((text) => unified || text.split(":")[1]?.split(",").includes(controller));
  const path = line?.split(":").slice(2).join(":") ?? "/";
  return join("/sys/fs/cgroup", unified ? "" : controller, path);
}

// USER_HZ, which is 100 on x86-64.
const tickMs = 10;

/** CPU time of a process with all its threads (proc(5): utime and stime are fields 14 and 15). */
function cpuTimeMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

describe.skipIf(why !== undefined)(`a VMM's cgroup${why ? ` (skipped: ${why})` : ""}`, () => {
  const folder = mkdtempSync("/tmp/kcg-");
  const scene = createShimScene(folder);
  const cgroupsPath = `/katasim-test-${process.pid}/pod`;
  let driver: ShimDriver;
  let record: VmRecord;

  beforeAll(async () => {
    driver = await scene.openDriver("d");
    // 500m and 256Mi in the preview's profile: two vCPUs, but 1.5 cores.
    const limits = { cpuQuotaUs: 50_000, memoryBytes: 256 << 20 };
    const found = await scene.newSandbox(
      driver,
      "pod",
      sandboxSpec("pod", { ...limits, cgroupsPath }),
    );
    if (found === undefined) throw new Error("the sandbox has no record");
    record = found;
  });
  afterAll(async () => {
    await driver.close();
    scene.expectNothingLeft();
  });

  it("has all of the VMM's threads in it", () => {
    for (const controller of ["cpu", "memory", "pids"]) {
      const home = folderOf(record.vmmPid, controller);
      expect(home.endsWith(cgroupsPath)).toBe(true);
      expect(readFileSync(join(home, "cgroup.procs"), "utf8").trim()).toBe(String(record.vmmPid));
    }
  });

  it("allows the CPU time of the rule, not of the rounded-up vCPUs", () => {
    expect(record).toMatchObject({ vcpus: 2, cgroup: { cpuMillis: 1500 } });
    const home = folderOf(record.vmmPid, "cpu");
    const read = (file: string) => readFileSync(join(home, file), "utf8").trim();
    expect(unified ? read("cpu.max") : read("cpu.cfs_quota_us")).toMatch(/^150000\b/);
  });

  it("allows the VM's memory and what the VMM needs beside it", () => {
    const home = folderOf(record.vmmPid, "memory");
    const file = join(home, unified ? "memory.max" : "memory.limit_in_bytes");
    const allowedMib = Number(readFileSync(file, "utf8")) / 2 ** 20;
    expect(record.memoryMib).toBe(2304);
    expect(allowedMib).toBe(record.cgroup?.memoryMib);
    expect(allowedMib).toBeGreaterThan(2304);
    expect(allowedMib).toBeLessThan(2304 + 512);
  });

  it("allows the VMM a bounded number of tasks", () => {
    const home = folderOf(record.vmmPid, "pids");
    expect(readFileSync(join(home, "pids.max"), "utf8").trim()).toBe("512");
  });

  // Half a core: a busy machine has that to give, so the bound is met.
  it("gives a guest that wants more no more than its quota", async () => {
    const small = await scene.openDriver("small", { sizingProfile: "aks-ga" });
    try {
      const limits = { cpuQuotaUs: 50_000, memoryBytes: 256 << 20 };
      const spec = sandboxSpec("small", { ...limits, cgroupsPath: `${cgroupsPath}-small` });
      const vm = await scene.newSandbox(small, "small", spec);
      expect(vm).toMatchObject({ vcpus: 1, cgroup: { cpuMillis: 500 } });
      await scene.newContainer(small, "small", "busy", ["sh", "-c", "while :; do :; done"]);
      const pid = vm?.vmmPid ?? 0;
      const home = folderOf(pid, "cpu");
      const throttled = () =>
        Number(/^nr_throttled (\d+)/m.exec(readFileSync(join(home, "cpu.stat"), "utf8"))?.[1]);
      const [usedMs, sinceMs, before] = [cpuTimeMs(pid), performance.now(), throttled()];
      await waitUntil(() => throttled() > before + 10, { what: "the guest to be throttled" });
      const elapsedMs = performance.now() - sinceMs;
      // A period's quota may be spent at the beginning and another at the end.
      expect(cpuTimeMs(pid) - usedMs).toBeLessThan(0.5 * elapsedMs + 2 * 50 + 2 * tickMs);
    } finally {
      await small.close();
    }
  });

  it("goes with the sandbox, even when the shim was killed", async () => {
    const home = folderOf(record.vmmPid, "memory");
    process.kill(record.shimPid, "SIGKILL");
    await driver.run("pod", "delete");
    await driver.run("pod", "delete");
    expect(existsSync(home)).toBe(false);
    expect(existsSync(join(home, ".."))).toBe(false);
  });
});
