import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeFileAtomic } from "./atomic-write.ts";

describe("writeFileAtomic", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "katasim-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("replaces the content and leaves no temporary file", () => {
    const path = join(folder, "state");
    writeFileSync(path, "old and longer");
    writeFileAtomic(path, "new", { durable: true });
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(readdirSync(folder)).toEqual(["state"]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("leaves nothing behind when the target cannot be replaced", () => {
    expect(() => writeFileAtomic(folder, "new")).toThrow();
    expect(readdirSync(join(folder, "..")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});
