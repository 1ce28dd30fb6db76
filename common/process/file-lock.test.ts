import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
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

  it("ends with the process that has it, also when that is killed", async () => {
    const path = join(folder, "lock");
    const program = join(folder, "holder.mjs");
    await build({
      stdin: {
        contents: `import { holdFileLock } from "./file-lock.ts";
          const lock = await holdFileLock(process.argv[2], 30_000);
          console.log(lock === undefined ? "refused" : "held");`,
        ...{ resolveDir: import.meta.dirname, loader: "ts" },
      },
      ...{ outfile: program, bundle: true, platform: "node", format: "esm", logLevel: "silent" },
    });
    const holder = spawn(process.execPath, [program, path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [words] = await once(holder.stdout, "data");
      expect(String(words)).toBe("held\n");
      expect(await holdFileLock(path, 50)).toBeUndefined();
    } finally {
      holder.kill("SIGKILL");
    }
    const held = await holdFileLock(path, 30_000);
    expect(held).toBeDefined();
    held?.release();
  });

  it("is nobody's where it cannot be made", async () => {
    expect(await holdFileLock(join(folder, "no", "folder"), 100)).toBeUndefined();
  });
});
