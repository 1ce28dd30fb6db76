import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nearestName, slipsBetween } from "./nearest-name.ts";

const classes = ["kata-mshv-vm-isolation", "kata-vm-isolation", "runc"];

describe("nearestName", () => {
  it("finds the class behind a swap of two letters", () => {
    expect(nearestName("kata-mhsv-vm-isolation", classes)).toBe("kata-mshv-vm-isolation");
  });

  it("offers nothing for a different name", () => {
    expect(nearestName("gvisor", classes)).toBeUndefined();
    expect(nearestName("nope", classes)).toBeUndefined();
  });

  it("counts a swap once and is symmetric", () => {
    expect(slipsBetween("mhsv", "mshv")).toBe(1);
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(slipsBetween(a, b)).toBe(slipsBetween(b, a));
        expect(slipsBetween(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});
