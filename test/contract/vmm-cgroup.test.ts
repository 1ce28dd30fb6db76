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

  it("throttles a guest that wants more", async () => {
    const busy = "for i in 1 2; do while :; do :; done & done; sleep 1000";
    await scene.newContainer(driver, "pod", "busy", ["sh", "-c", busy]);
    const stat = join(folderOf(record.vmmPid, "cpu"), "cpu.stat");
    const throttled = () => Number(/^nr_throttled (\d+)/m.exec(readFileSync(stat, "utf8"))?.[1]);
    const before = throttled();
    await waitUntil(() => throttled() > before + 3, { what: "the guest to be throttled" });
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
