import { describe, expect, it } from "vitest";
import { parsePidFile } from "./pid-file.ts";
import { identifyProcess, isAlive, parseStat } from "./process-identity.ts";

describe("parseStat", () => {
  it("counts fields from the last bracket of the name", () => {
    const rest = Array.from({ length: 30 }, (_, index) => String(index + 4)).join(" ");
    expect(parseStat(`12 (a) b) (c)) S ${rest}`)).toEqual({ state: "S", startTicks: "22" });
  });
});

describe("isAlive", () => {
  it("knows this process and not one that had its pid before", () => {
    const self = identifyProcess(process.pid);
    expect(self && isAlive(self)).toBe(true);
    expect(isAlive({ pid: process.pid, startTicks: "1" })).toBe(false);
    expect(identifyProcess(2 ** 30)).toBeUndefined();
  });
});

describe("parsePidFile", () => {
  it("takes a file of this boot only", () => {
    expect(parsePidFile("12\n345\nb1\n", "b1")).toEqual({ pid: 12, startTicks: "345" });
    expect(parsePidFile("12\n345\nb0\n", "b1")).toBeUndefined();
  });

  it.each(["", "0\n1\nb1", "x\n1\nb1", "12", "-1\n2\nb1"])("ignores %j", (text) => {
    expect(parsePidFile(text, "b1")).toBeUndefined();
  });
});
