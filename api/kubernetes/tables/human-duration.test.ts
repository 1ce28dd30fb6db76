import { describe, expect, it } from "vitest";
import { ageOf, humanDuration } from "./human-duration.ts";

const s = 1000;
const m = 60 * s;
const h = 60 * m;
const d = 24 * h;

describe("humanDuration", () => {
  // The table of duration_test.go.
  it.each([
    [-2 * s, "<invalid>"],
    [-1 * s, "0s"],
    [s, "1s"],
    [70 * s, "70s"],
    [190 * s, "3m10s"],
    [70 * m, "70m"],
    [47 * h, "47h"],
    [49 * h, "2d1h"],
    [8 * d + 2 * h, "8d"],
    [367 * d, "367d"],
    [365 * 2 * d + 25 * d, "2y25d"],
    [365 * 8 * d + 2 * d, "8y"],
  ])("shows %d ms as %s", (durationMs, text) => {
    expect(humanDuration(durationMs)).toBe(text);
  });

  it("shows an absent time as unknown", () => {
    expect(ageOf(undefined, 0)).toBe("<unknown>");
  });
});
