/** Update of a sandbox's task with a real VM: what the guest, the host and the record have then. */
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GrpcCode } from "../../runtime-shim/errors.ts";
import { readVmRecord } from "../../runtime-shim/service/bundle-files.ts";
import { grpcCodeOf } from "../../runtime-shim/ttrpc/client.ts";
import { vmTestObstacle } from "../support/guest-image.ts";
import { sandboxSpec } from "../support/oci-specs.ts";
import { type ShimDriver, task } from "../support/shim-driver.ts";
import { createShimScene } from "./shim-scene.ts";

const why = vmTestObstacle();
const unified = existsSync("/sys/fs/cgroup/cgroup.controllers");
const mebibyte = 1 << 20;

describe.skipIf(why !== undefined)(`a sandbox's size${why ? ` (skipped: ${why})` : ""}`, () => {
  const folder = mkdtempSync("/tmp/ksize-");
  const { openDriver, newSandbox, newContainer, finish, expectNothingLeft } =
    createShimScene(folder);
  const cgroupsPath = `/katasim-size-${process.pid}/pod`;
  let driver: ShimDriver;
  let containers = 0;

  beforeAll(async () => {
    driver = await openDriver("d", { maxVcpus: 4, maxMemoryMib: 2600 });
    // 500m and 256Mi: 2 vCPUs, 1.5 cores, 2304 MiB.
    const limits = { cpuQuotaUs: 50_000, memoryBytes: 256 * mebibyte };
    await newSandbox(driver, "pod", sandboxSpec("pod", { ...limits, cgroupsPath }));
  });
  afterAll(async () => {
    await driver.close();
    expectNothingLeft();
  });

  const update = (id: string, resources: object, target = driver) =>
    target.client.call(task.update, {
      id,
      resources: {
        typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources",
        value: Buffer.from(JSON.stringify(resources)),
      },
    });
  const record = () => readVmRecord(driver.bundleOf("pod"));
  /** As a container of the pod sees it. */
  const guest = async () => {
    const id = `look-${++containers}`;
    const script = "nproc; awk '/MemTotal/ { print $2 }' /proc/meminfo";
    const streams = await newContainer(driver, "pod", id, ["sh", "-c", script]);
    await finish(driver, id);
    await streams.ended;
    const [vcpus, kib] = streams.text().trim().split("\n").map(Number);
    return { vcpus, kib: kib ?? 0 };
  };
  const host = () => {
    const read = (controller: string, file: string) =>
      readFileSync(join("/sys/fs/cgroup", unified ? "" : controller, cgroupsPath, file), "utf8");
    const memory = read("memory", unified ? "memory.max" : "memory.limit_in_bytes");
    return {
      quotaUs: Number.parseInt(read("cpu", unified ? "cpu.max" : "cpu.cfs_quota_us"), 10),
      memoryMib: Number(memory) / mebibyte,
    };
  };

  it("follows the sizing rule, on the host too, and is told in vm.json", async () => {
    const [before, allowed] = [await guest(), host()];
    expect(record()).toMatchObject({ vcpus: 2, memoryMib: 2304 });
    // The room is in whole steps from the boot's size on.
    expect(record()?.most).toEqual({ vcpus: 4, memoryMib: 2688 });
    const cpu = { quota: 250_000, period: 100_000 };
    await update("pod", { cpu, memory: { limit: 300 * mebibyte } });
    expect(record()).toMatchObject({
      ...{ vcpus: 4, memoryMib: 2432 },
      cgroup: { cpuMillis: 3500, memoryMib: allowed.memoryMib + 128 },
      sizing: [
        expect.stringContaining("aks-preview"),
        "vCPUs: 1 (base) + 2.5 (sum of CPU limits) = 3.5, rounded up to 4",
        "memory: 2048 MiB (base) + 300 MiB (sum of memory limits) = 2348 MiB",
        "memory: a running VM grows in steps of 128 MiB, so 2432 MiB",
      ],
    });
    expect(host()).toEqual({ quotaUs: 350_000, memoryMib: allowed.memoryMib + 128 });
    expect(await guest()).toEqual({ vcpus: 4, kib: before.kib + 128 * 1024 });
  });

  it("keeps limits that are not named, and its processors where they are enough", async () => {
    const { memoryMib } = host();
    await update("pod", { cpu: { quota: 220_000, period: 100_000 } });
    expect(record()).toMatchObject({ vcpus: 4, memoryMib: 2432, cgroup: { cpuMillis: 3200 } });
    expect(host()).toEqual({ quotaUs: 320_000, memoryMib });
  });

  it.each([
    ["more processors than there is room for", { cpu: { quota: 400_000 } }, "room for 4 vCPUs"],
    [
      "more memory than there is room for",
      { memory: { limit: 1024 * mebibyte } },
      "room for 4 vCPUs and 2688 MiB (the runtime's options maxVcpus and maxMemoryMib",
    ],
    ["fewer processors", { cpu: { quota: 50_000 } }, "QEMU takes no processor back (make the pod"],
    ["less memory", { memory: { limit: 128 * mebibyte } }, "a guest gives no memory back"],
  ])("is refused %s, and stays", async (_, resources, words) => {
    const before = [record(), host()];
    const error = await update("pod", resources).catch((cause: unknown) => cause);
    expect(String(error)).toContain(words);
    expect(grpcCodeOf(error)).toBe(GrpcCode.failedPrecondition);
    expect([record(), host()]).toEqual(before);
  });

  it("does not follow a container's limits", async () => {
    await newContainer(driver, "pod", "one", ["sleep", "1000"]);
    const before = [record(), host()];
    await update("one", { cpu: { quota: 400_000, period: 100_000 } });
    expect([record(), host()]).toEqual(before);
    await driver.client.call(task.kill, { id: "one", signal: 9 });
    await finish(driver, "one");
  });

  it("takes updates side by side, one after the other", async () => {
    const limits = [310, 400, 500];
    await Promise.all(limits.map((mib) => update("pod", { memory: { limit: mib * mebibyte } })));
    expect(record()).toMatchObject({ vcpus: 4, memoryMib: 2560, cgroup: { cpuMillis: 3200 } });
    expect((await guest()).vcpus).toBe(4);
  });

  it("stays where no room was asked for", async () => {
    const plain = await openDriver("plain");
    try {
      expect(await newSandbox(plain, "fixed")).not.toHaveProperty("most");
      const more = update("fixed", { cpu: { quota: 100_000, period: 100_000 } }, plain);
      await expect(more).rejects.toThrow("it was started with room for 1 vCPUs and 2048 MiB");
    } finally {
      await plain.close();
    }
  });
});
