import { describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import type { VmmCgroup, VmmLimits } from "../confinement/vmm-cgroup.ts";
import type { Fields } from "../guest-client/fields.ts";
import type { VmShape } from "../hypervisors/hypervisor.ts";
import type { VmRecord } from "../shim-options.ts";
import { sizingProfiles } from "../sizing/profiles.ts";
import { createSandboxSize, roomFor } from "./sandbox-size.ts";

const most = { vcpus: 4, memoryMib: 2304 };
const overheadMib = 100;

/** A VM of 3 vCPUs whose VMM takes processors back, as Cloud Hypervisor does; `steps` is what happened. */
function scene(resize: (shape: VmShape) => Promise<void> = async () => {}) {
  const steps: string[] = [];
  let shape: VmShape = { vcpus: 3, memoryMib: 2048 };
  let limits: VmmLimits = { cpuMillis: 3000, memoryMib: 2048 + overheadMib };
  const cgroup = {
    path: "/pod",
    isUsed: true,
    get limits() {
      return limits;
    },
    setLimits(wanted: VmmLimits) {
      limits = wanted;
      steps.push(`host ${wanted.cpuMillis} ${wanted.memoryMib}`);
    },
  } as unknown as VmmCgroup;
  const hello = () =>
    ({ number: (tag: number) => (tag === 4 ? shape.vcpus : shape.memoryMib * 1024) }) as Fields;
  const size = createSandboxSize({
    vm: {
      async resize(wanted) {
        await resize(wanted);
        shape = wanted;
        steps.push(`vm ${wanted.vcpus} ${wanted.memoryMib}`);
      },
    },
    guest: { request: async () => hello() },
    ...{ cgroup, overheadMib, log: silentLogger, profile: sizingProfiles["aks-preview"] },
    limits: { cpuQuotaUs: 200_000 },
    record: { vcpus: 3, memoryMib: 2048, most, sizing: ["booted"] } as unknown as VmRecord,
    save() {},
  });
  return { size, steps };
}

describe("a sandbox's size", () => {
  it("is allowed on the host before the VM grows, memory first", async () => {
    const { size, steps } = scene();
    await size.resize({ cpuQuotaUs: 300_000, memoryBytes: 200 << 20 });
    expect(steps).toEqual(["host 4000 2404", "vm 3 2304", "vm 4 2304", "host 4000 2404"]);
    expect(size.record).toMatchObject(most);
  });

  it("is taken back on the host after the VM has shrunk", async () => {
    const { size, steps } = scene();
    await size.resize({ cpuQuotaUs: 50_000 });
    expect(steps).toEqual(["host 3000 2148", "vm 2 2048", "host 1500 2148"]);
    expect(size.record).toMatchObject({ vcpus: 2, memoryMib: 2048 });
  });

  it("tells how far it got, and goes on from there", async () => {
    let broken = true;
    const { size, steps } = scene(async ({ vcpus }) => {
      if (broken && vcpus === 4) throw new Error("no");
    });
    const change = { cpuQuotaUs: 300_000, memoryBytes: 200 << 20 };
    await expect(size.resize(change)).rejects.toThrow("no");
    expect(size.record).toMatchObject({ vcpus: 3, memoryMib: 2304, sizing: ["booted"] });
    expect(steps.at(-1)).toBe("host 3000 2404");
    broken = false;
    await size.resize(change);
    expect(size.record).toMatchObject(most);
  });

  it("has room in whole steps from the boot's size on, where any was asked for", () => {
    const shape = { vcpus: 2, memoryMib: 2348 };
    expect(roomFor(shape, {})).toBeUndefined();
    expect(roomFor(shape, { maxVcpus: 1, maxMemoryMib: 1024 })).toBeUndefined();
    expect(roomFor(shape, { maxVcpus: 8 })).toEqual({ vcpus: 8, memoryMib: 2348 });
    expect(roomFor(shape, { maxMemoryMib: 4096 })).toEqual({
      vcpus: 2,
      memoryMib: 2348 + 14 * 128,
    });
  });
});
