import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FileLock, holdFileLock } from "./file-lock.ts";

describe("a lock on a file", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lock-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("has one holder at a time", async () => {
    const path = join(folder, "lock");
    const first = (await holdFileLock(path, 1_000)) as FileLock;
    expect(await holdFileLock(path, 50)).toBeUndefined();
    const second = holdFileLock(path, 30_000);
    first.release();
    first.release();
    const held = await second;
    expect(held).toBeDefined();
    held?.release();
  });

  it("is nobody's where it cannot be made", async () => {
    expect(await holdFileLock(join(folder, "no", "folder"), 100)).toBeUndefined();
  });
});
