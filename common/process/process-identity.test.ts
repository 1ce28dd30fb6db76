import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  identityOf,
  isAlive,
  killByPidFile,
  parseStat,
  readPidFile,
  writePidFile,
} from "./process-identity.ts";

describe("process identity", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "katasim-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("reads a name with spaces and brackets", () => {
    const tail = Array.from({ length: 18 }, (_, index) => index).join(" ");
    expect(parseStat(`12 (a ) b (c)) S ${tail} 777 9`)).toEqual({ state: "S", startTime: "777" });
  });

  it("survives a round trip through a pid file", () => {
    const path = join(folder, "pid");
    writePidFile(path, process.pid);
    expect(readPidFile(path)).toEqual(identityOf(process.pid));
  });

  it("does not take another process with the same pid for the one it knew", async () => {
    const path = join(folder, "pid");
    writeFileSync(path, `${process.pid} 1\n`);
    expect(isAlive({ pid: process.pid, startTime: "1" })).toBe(false);
    expect(await killByPidFile(path)).toBe(false);
  });

  it("has nothing to kill when there is no pid file", async () => {
    expect(await killByPidFile(join(folder, "none"))).toBe(false);
  });
});
