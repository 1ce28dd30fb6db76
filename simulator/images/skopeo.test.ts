import { describe, expect, it } from "vitest";
import { lastMessage, throwIfFull } from "./skopeo.ts";

describe("skopeo's complaints", () => {
  it("are read out of its log lines", () => {
    const stderr =
      'time="2026-01-01T00:00:00Z" level=warning msg="hm"\ntime="2026-01-01T00:00:00Z" level=fatal msg="Get \\"https://x/v2/\\": EOF"';
    expect(lastMessage(stderr)).toBe('Get "https://x/v2/": EOF');
  });

  it("are handed on as they are when they are no log lines", () => {
    expect(lastMessage("a\nplain words")).toBe("plain words");
  });

  it("tell a full disk from a bad image", () => {
    expect(() => throwIfFull("write /x: no space left on device")).toThrow(/disk is full/);
    expect(() => throwIfFull("manifest unknown")).not.toThrow();
  });
});
