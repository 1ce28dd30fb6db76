import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allocatableOf, capacityOf, findVmSize, vmSizes } from "./vm-sizes.ts";

describe("VM sizes", () => {
  it("gives the default size 4 vCPUs and 16 GiB", () => {
    const capacity = capacityOf(findVmSize("Standard_D4s_v3"));
    expect(capacity.cpuMillis).toBe(4000);
    expect(capacity.memoryBytes).toBe(16 * 1024 ** 3);
  });

  it("reserves 140m CPU and 20 MB a pod on 4 cores, as AKS documents", () => {
    const allocatable = allocatableOf(capacityOf(findVmSize("Standard_D4s_v3")));
    expect(allocatable.cpuMillis).toBe(3860);
    expect(allocatable.memoryBytes / 1024 ** 2).toBe(16 * 1024 - 2250 - 100);
  });

  it("reserves a quarter of a small node", () => {
    const allocatable = allocatableOf({
      ...capacityOf(findVmSize("Standard_D2s_v3")),
      memoryBytes: 4 * 1024 ** 3,
    });
    expect(allocatable.memoryBytes / 1024 ** 2).toBe(3072 - 100);
  });

  it("takes a name in any case and refuses an unknown one by name", () => {
    expect(findVmSize("standard_d4S_V3").name).toBe("Standard_D4s_v3");
    expect(() => findVmSize("Standard_X1")).toThrow('the VM size "Standard_X1" is not known');
  });

  it("always leaves something to pods and never more than there is", () => {
    fc.assert(
      fc.property(fc.constantFrom(...vmSizes), (size) => {
        const capacity = capacityOf(size);
        const allocatable = allocatableOf(capacity);
        for (const key of ["cpuMillis", "memoryBytes", "ephemeralStorageBytes"] as const) {
          expect(allocatable[key]).toBeGreaterThan(0);
          expect(allocatable[key]).toBeLessThan(capacity[key]);
        }
      }),
    );
  });
});
