import { describe, expect, it } from "vitest";
import { firstTakeMib } from "./first-take.ts";

describe("firstTakeMib", () => {
  it("is the boot and the kernel's books of its pages, never more than the VM may have", () => {
    expect(firstTakeMib(2048)).toBe(256);
    expect(firstTakeMib(64 * 1024)).toBe(224 + 1024);
    expect(firstTakeMib(128)).toBe(128);
  });
});
