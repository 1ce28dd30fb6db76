import { describe, expect, it } from "vitest";
import { parsePidFile } from "./pid-file.ts";

describe("parsePidFile", () => {
  it("takes a file of this boot only", () => {
    expect(parsePidFile("12\n345\nb1\n", "b1")).toEqual({ pid: 12, startTime: "345" });
    expect(parsePidFile("12\n345\nb0\n", "b1")).toBeUndefined();
  });

  it.each(["", "0\n1\nb1", "x\n1\nb1", "12", "-1\n2\nb1"])("ignores %j", (text) => {
    expect(parsePidFile(text, "b1")).toBeUndefined();
  });
});
