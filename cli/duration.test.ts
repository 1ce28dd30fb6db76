import { describe, expect, it } from "vitest";
import { parseDurationMs } from "./duration.ts";

describe("parseDurationMs", () => {
  it.each([
    ["30s", 30_000],
    ["1m30s", 90_000],
    ["500ms", 500],
    ["1.5h", 5_400_000],
    ["20", 20_000],
    ["0s", 0],
  ])("reads %s as %d ms", (text, ms) => {
    expect(parseDurationMs(text, "--wait")).toBe(ms);
  });

  it.each(["", "s", "1x", "1s2", "-1s", "1 s"])("refuses %j", (text) => {
    expect(() => parseDurationMs(text, "--wait")).toThrow(/--wait: .* is not a duration/);
  });
});
