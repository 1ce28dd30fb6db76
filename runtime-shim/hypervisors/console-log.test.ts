import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openConsoleLog } from "./console-log.ts";

it("a console log that cannot be turned over goes on in memory and touches nobody's file", () => {
  const folder = mkdtempSync(join(tmpdir(), "katasim-console-"));
  const path = join(folder, "console.log");
  try {
    // Where the older file would go, there is a folder that is not empty.
    mkdirSync(join(`${path}.1`, "x"), { recursive: true });
    const log = openConsoleLog(path);
    log.write(Buffer.alloc(1 << 20));
    log.write(Buffer.from("first\n"));
    // Takes the number that the log had.
    const other = openSync(join(folder, "other"), "w");
    log.write(Buffer.from("second\n"));
    log.close();
    expect(writeSync(other, "still ours")).toBe(10);
    closeSync(other);
    expect(log.tail()).toBe("first\nsecond");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
