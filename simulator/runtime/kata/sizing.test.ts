import { cpus } from "node:os";
import { describe, expect, it } from "vitest";
import { podLimitsFromAmounts } from "../../../runtime-shim/index.ts";
import type { KataConfiguration } from "./configuration.ts";
import type { KataBuild } from "./find-shim.ts";
import { sizeKataVm } from "./sizing.ts";

const mib = 1024 * 1024;
const configuration = (
  values: Partial<KataConfiguration["values"]>,
  change: Partial<KataConfiguration> = {},
): KataConfiguration => ({
  ...{ file: "/etc/kata-containers/configuration.toml", hypervisor: "clh" },
  values: {
    ...{ default_vcpus: 1, default_memory: 2048, overhead_vcpus: 0, overhead_memory: 0 },
    ...values,
  },
  ...{ staticResources: true, sandboxCgroupOnly: true },
  ...change,
});
const size = (build: KataBuild, from: KataConfiguration, cpuMillis?: number, memMib?: number) =>
  sizeKataVm(
    build,
    from,
    podLimitsFromAmounts(cpuMillis, memMib === undefined ? undefined : memMib * mib),
  );

const go = configuration({});
const azure = configuration(
  { default_vcpus: 0, default_memory: 0 },
  { defaultWorkload: { vcpus: 1, memoryMib: 512 } },
);
// runtime-rs' profile for Cloud Hypervisor.
const rust = configuration({ overhead_vcpus: 0.2, overhead_memory: 32 });

describe("sizeKataVm", () => {
  // pod | CPU limits (milli) | memory limits (MiB) | Go, static | Azure's fork | runtime-rs
  it.each([
    ["no limits", undefined, undefined, [2048, 1], [512, 1], [2048, 1]],
    ["500m, 256Mi", 500, 256, [2304, 2], [256, 1], [288, 1]],
    ["2.5 cores, 4Gi", 2500, 4096, [6144, 4], [4096, 3], [4128, 3]],
    ["two of 1 core, 512Mi", 2000, 1024, [3072, 3], [1024, 2], [1056, 3]],
    ["one of two with 300Mi", undefined, 300, [2348, 1], [300, 1], [332, 1]],
    ["an odd number of MiB", 1000, 301, [2349, 2], [301, 1], [334, 2]],
  ])("%s", (_, cpu, memory, forGo, forAzure, forRust) => {
    const got = (build: KataBuild, from: KataConfiguration) => {
      const { vcpus, memoryMib } = size(build, from, cpu, memory);
      return [memoryMib, vcpus];
    };
    expect(got("go", go)).toEqual(forGo);
    expect(got("go", azure)).toEqual(forAzure);
    expect(got("rust", rust)).toEqual(forRust);
  });

  it("rounds up once, over default and limits", () => {
    expect(size("go", configuration({ default_vcpus: 0.5 }), 500).vcpus).toBe(1);
    expect(size("go", configuration({ default_vcpus: 0.5 }), 501).vcpus).toBe(2);
    expect(size("go", configuration({ default_vcpus: 1.5 })).vcpus).toBe(2);
  });

  it("takes Kata's own defaults for values that Kata does not take", () => {
    const slips = configuration({ default_vcpus: 0, default_memory: 128 });
    expect(size("go", slips)).toMatchObject({ vcpus: 1, memoryMib: 2048 });
    expect(size("go", configuration({ default_vcpus: -1 })).vcpus).toBe(cpus().length);
  });

  it("boots small and grows without static management, and says so", () => {
    const dynamic = size("go", configuration({}, { staticResources: false }), 2000, 1024);
    expect(dynamic.boot).toMatchObject({ vcpus: 1, memoryMib: 2048 });
    expect(dynamic).toMatchObject({ vcpus: 3, memoryMib: 3072 });
    expect(dynamic.lines.at(-1)).toBe(
      "static_sandbox_resource_mgmt is false: the VM boots with 1 vCPU and 2048 MiB, and gets the rest by hotplug while containers start",
    );
  });

  it("names the file, and prints each step", () => {
    expect(size("go", go, 500, 256).lines).toEqual([
      "profile kata-go: Kata's own configuration /etc/kata-containers/configuration.toml, [hypervisor.clh], default_*",
      "vCPUs: 1 (base) + 0.5 (sum of CPU limits) = 1.5, rounded up to 2",
      "memory: 2048 MiB (base) + 256 MiB (sum of memory limits) = 2304 MiB",
    ]);
  });
});
