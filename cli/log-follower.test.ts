import { mkdtempSync } from "node:fs";
import { appendFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { printLog } from "./log-follower.ts";
import { readLogLine } from "./output/log-lines.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "log-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function lines(text: string, tail: number): Promise<readonly string[]> {
  const file = join(folder, "log");
  await writeFile(file, text);
  const printed: string[] = [];
  await printLog({ file, tail, follow: false, write: (line) => printed.push(line) });
  return printed;
}

describe("printLog", () => {
  it("prints the last lines, an unfinished one included", async () => {
    expect(await lines("a\nb\nc\n", 2)).toEqual(["b", "c"]);
    expect(await lines("a\nb", 5)).toEqual(["a", "b"]);
    expect(await lines("", 5)).toEqual([]);
  });

  it("never starts in the middle of a line", async () => {
    const long = "x".repeat(5000);
    expect(await lines(`${long}\n${long}\nend\n`, 1)).toEqual(["end"]);
  });

  it("follows additions, waits for the end of a line, and starts anew after truncation", async () => {
    const file = join(folder, "log");
    await writeFile(file, "one\n");
    const acts = [
      () => appendFile(file, "tw"),
      () => appendFile(file, "o\nthree\n"),
      () => writeFile(file, "4\n"),
      async () => stop.abort(),
    ];
    const stop = new AbortController();
    const clock = { nowMs: () => 0, sleep: async () => acts.shift()?.() };
    const printed: string[] = [];
    await printLog({
      file,
      tail: 10,
      follow: true,
      write: (line) => printed.push(line),
      signal: stop.signal,
      clock,
    });
    expect(printed).toEqual(["one", "two", "three", "4"]);
  });

  it("says that a log is not there", async () => {
    const missing = { file: join(folder, "none"), tail: 1, follow: false, write: () => {} };
    await expect(printLog(missing)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("readLogLine", () => {
  const line =
    '{"level":30,"time":"2026-01-01T00:00:00.000Z","component":"api","port":1,"msg":"up"}';

  it("prints pino's JSON for people", () => {
    expect(readLogLine(line, "all")).toBe("2026-01-01T00:00:00.000Z INFO  [api] up port=1");
  });

  it("keeps to the component asked for", () => {
    expect(readLogLine(line, "api")).toContain("up");
    expect(readLogLine(line, "agent")).toBeUndefined();
    expect(readLogLine("node crashed", "all")).toBe("node crashed");
    expect(readLogLine("{broken", "agent")).toBeUndefined();
  });
});
