import { describe, expect, it, vi } from "vitest";
import { mergeTimelines, wallClockMs } from "./timeline.ts";

describe("mergeTimelines", () => {
  it("orders the steps of several processes by time and counts from the first and the one before", () => {
    const agent = [
      { step: "a", atMs: 1000.5 },
      { step: "d", about: "app", atMs: 1010.75 },
    ];
    const shim = [
      { step: "b", atMs: 1002 },
      { step: "c", atMs: 1002 },
    ];
    expect(
      mergeTimelines(agent, shim).map(({ step, sinceFirstMs, sinceBeforeMs }) => [
        step,
        sinceFirstMs,
        sinceBeforeMs,
      ]),
    ).toEqual([
      ["a", 0, 0],
      ["b", 1.5, 1.5],
      ["c", 1.5, 0],
      ["d", 10.25, 8.75],
    ]);
    expect(mergeTimelines([], [])).toEqual([]);
  });
});

describe("wallClockMs", () => {
  it("never goes back while the machine's clock goes on", () => {
    let before = wallClockMs();
    for (let call = 0; call < 20_000; call++) {
      const now = wallClockMs();
      expect(now).toBeGreaterThanOrEqual(before);
      before = now;
    }
    expect(Math.abs(before - Date.now())).toBeLessThan(1000);
  });

  it("follows the machine's clock when that is set", () => {
    const before = wallClockMs();
    expect(wallClockMs()).toBeGreaterThanOrEqual(before);
    const hourMs = 3_600_000;
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + hourMs);
    expect(wallClockMs() - before).toBeGreaterThan(hourMs - 1000);
    vi.restoreAllMocks();
    expect(wallClockMs() - before).toBeLessThan(hourMs);
  });
});
