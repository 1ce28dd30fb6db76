import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type SizingProfileName, sizingProfiles } from "./profiles.ts";
import { podLimitsFromAmounts, podLimitsFromAnnotations, sizeVm } from "./vm-size.ts";

const mib = 1024 * 1024;
const size = (profile: SizingProfileName, cpuMillis?: number, memoryMib?: number) => {
  const bytes = memoryMib === undefined ? undefined : memoryMib * mib;
  const { vcpus, memoryMib: got } = sizeVm(
    sizingProfiles[profile],
    podLimitsFromAmounts(cpuMillis, bytes),
  );
  return [got, vcpus];
};

describe("sizeVm", () => {
  // pod | CPU limits (milli) | memory limits (MiB) | preview MiB/vCPU | GA MiB/vCPU
  it.each([
    ["no limits", undefined, undefined, [2048, 1], [512, 1]],
    ["500m, 256Mi", 500, 256, [2304, 2], [256, 1]],
    ["2.5 cores, 4Gi", 2500, 4096, [6144, 4], [4096, 3]],
    ["two containers of 1 core, 512Mi", 2000, 1024, [3072, 3], [1024, 2]],
    ["one of two with 300Mi", undefined, 300, [2348, 1], [300, 1]],
    ["cpu only", 1500, undefined, [2048, 3], [512, 2]],
    ["memory only", undefined, 128, [2176, 1], [128, 1]],
    ["init container larger than the app: the larger one counts", 3000, 1024, [3072, 4], [1024, 3]],
    ["a tenth of a core", 100, 200, [2248, 2], [200, 1]],
  ] as const)("%s", (_, cpu, memory, preview, ga) => {
    expect(size("aks-preview", cpu, memory)).toEqual(preview);
    expect(size("aks-ga", cpu, memory)).toEqual(ga);
  });

  it("rounds CPUs up once, over the sum", () => {
    expect(size("aks-preview", 500 + 500)).toEqual([2048, 2]);
    expect(size("aks-preview", 1001)).toEqual([2048, 3]);
  });

  it("refuses less memory than a guest needs, in Kata's words", () => {
    expect(() => size("aks-ga", undefined, 100)).toThrow(
      "pod memory limit too low: minimum 128MiB, got 100MiB",
    );
    expect(size("aks-preview", undefined, 100)).toEqual([2148, 1]);
  });

  it("explains each number", () => {
    expect(
      sizeVm(sizingProfiles["aks-preview"], podLimitsFromAmounts(500, 256 * mib)).lines,
    ).toEqual([
      expect.stringContaining("aks-preview"),
      "vCPUs: 1 (base) + 0.5 (sum of CPU limits) = 1.5, rounded up to 2",
      "memory: 2048 MiB (base) + 256 MiB (sum of memory limits) = 2304 MiB",
    ]);
  });

  it("never gives less than the limits and never a vCPU too many", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(sizingProfiles) as SizingProfileName[])),
        fc.integer({ min: 1, max: 64_000 }),
        fc.integer({ min: 128, max: 65_536 }),
        (profile, cpu, memory) => {
          const [memoryMib, vcpus] = size(profile, cpu, memory) as [number, number];
          const base = sizingProfiles[profile];
          expect(memoryMib).toBe(base.baseMemoryMib + memory);
          expect(vcpus * 1000).toBeGreaterThanOrEqual(base.baseVcpus * 1000 + cpu);
          expect((vcpus - 1) * 1000).toBeLessThan(base.baseVcpus * 1000 + cpu);
        },
      ),
    );
  });
});

describe("podLimitsFromAnnotations", () => {
  it("reads what containerd writes", () => {
    expect(
      podLimitsFromAnnotations({
        "io.kubernetes.cri.sandbox-cpu-quota": "50000",
        "io.kubernetes.cri.sandbox-cpu-period": "100000",
        "io.kubernetes.cri.sandbox-cpu-shares": "512",
        "io.kubernetes.cri.sandbox-memory": "268435456",
      }),
    ).toEqual({ cpuQuotaUs: 50_000, cpuPeriodUs: 100_000, memoryBytes: 268_435_456 });
  });

  it("counts a bad number as no limit", () => {
    const annotations = { "io.kubernetes.cri.sandbox-memory": "much" };
    expect(sizeVm(sizingProfiles["aks-ga"], podLimitsFromAnnotations(annotations)).memoryMib).toBe(
      512,
    );
  });

  it("takes containerd's zeros and -1 as no limit", () => {
    const annotations = {
      "io.kubernetes.cri.sandbox-cpu-quota": "-1",
      "io.kubernetes.cri.sandbox-cpu-period": "0",
      "io.kubernetes.cri.sandbox-memory": "0",
    };
    const size = sizeVm(sizingProfiles["aks-preview"], podLimitsFromAnnotations(annotations));
    expect([size.memoryMib, size.vcpus]).toEqual([2048, 1]);
  });
});
