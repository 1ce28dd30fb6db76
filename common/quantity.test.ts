import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatBytes, formatCpu, isQuantity, parseNano, toMillis, toUnits } from "./quantity.ts";

describe("quantity", () => {
  it.each([
    ["500m", 500],
    ["2", 2000],
    ["0.5", 500],
    ["1500m", 1500],
    ["1e3", 1_000_000],
    [".1", 100],
    ["100u", 1],
  ])("reads %s as %d milli-units", (text, millis) => {
    expect(toMillis(text)).toBe(millis);
  });

  it.each([
    ["256Mi", 268_435_456],
    ["1G", 1_000_000_000],
    ["1.5Gi", 1_610_612_736],
    ["128974848", 128_974_848],
    ["129e6", 129_000_000],
    ["1m", 1],
  ])("reads %s as %d units, rounding up", (text, units) => {
    expect(toUnits(text)).toBe(units);
  });

  it.each(["", "abc", "1.5.2", "1Zi", "--1", "1 Gi", "0x10", "1e99"])("refuses %j", (text) => {
    expect(isQuantity(text)).toBe(false);
  });

  it("keeps byte amounts through formatting", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (bytes) => {
        expect(toUnits(formatBytes(bytes))).toBe(bytes);
      }),
    );
  });

  it("keeps CPU amounts through formatting", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), (millis) => {
        expect(toMillis(formatCpu(millis))).toBe(millis);
      }),
    );
  });

  it("negates with the sign", () => {
    expect(parseNano("-2")).toBe(-2_000_000_000n);
  });
});
