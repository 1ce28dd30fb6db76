import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { writePidFile } from "../../common/process/process-identity.ts";
import { readManifest } from "./manifest.ts";
import { createTemplateStore, type MakeTemplate } from "./template-store.ts";

const key = "0123456789abcdef0123";
const other = "aaaaaaaaaaaaaaaaaaaa";

describe("the store of templates", () => {
  let folder: string;
  let made = 0;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "templates-"));
    made = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (maxBytes = 2 ** 30) => createTemplateStore({ folder, maxBytes, log: silentLogger });
  const make: MakeTemplate = async (content) => {
    made += 1;
    writeFileSync(join(content, "memory"), "pages of a guest");
    truncateSync(join(content, "memory"), 2 ** 20);
    writeFileSync(join(content, "state"), "its devices");
    const inputs = { rung: "qemu/tcg", vcpus: 1, memoryMib: 2048, nic: "tap" };
    return { inputs, kernelRelease: "6.1" };
  };
  const memory = join(key, "memory");
  /** Changes a byte and puts size and time back. */
  const spoil = (path: string) => {
    const { atime, mtime, mode } = statSync(path);
    chmodSync(path, 0o644);
    writeFileSync(path, `X${readFileSync(path, "utf8").slice(1)}`);
    utimesSync(path, atime, mtime);
    chmodSync(path, mode);
  };

  it("makes one once, however many ask", async () => {
    const stores = [open(), open(), open()];
    const got = await Promise.all(stores.map((store) => store.obtain(key, make)));
    expect(made).toBe(1);
    expect(new Set(got.map((template) => template.folder))).toEqual(new Set([join(folder, key)]));
    expect(readdirSync(folder).sort()).toEqual([key, `${key}.lock`]);
  });

  it("keeps nothing of one that could not be made", async () => {
    const fail = async () => {
      throw new Error("no memory");
    };
    await expect(open().obtain(key, fail)).rejects.toThrow("no memory");
    expect(readdirSync(folder)).toEqual([`${key}.lock`]);
    await open().obtain(key, make);
    expect(made).toBe(1);
  });

  it.each<[string, () => void]>([
    ["a changed file", () => spoil(join(folder, memory))],
    ["a missing file", () => rmSync(join(folder, memory))],
    ["a missing manifest", () => rmSync(join(folder, key, "template.json"))],
    ["a manifest of another", () => rewriteKey(join(folder, key))],
  ])("notices %s, and makes it anew", async (_, damage) => {
    await open().obtain(key, make);
    damage();
    expect(await open().find(key)).toBeUndefined();
    expect(existsSync(join(folder, key))).toBe(false);
    await open().obtain(key, make);
    expect(made).toBe(2);
  });

  it("takes one that came from elsewhere with its content whole, and knows it from then on", async () => {
    await open().obtain(key, make);
    const before = readManifest(join(folder, key));
    for (const name of ["memory", "state"]) {
      const path = join(folder, key, name);
      // As some archives do, which know no holes.
      execFileSync("cp", ["--sparse=never", path, `${path}.copy`]);
      renameSync(`${path}.copy`, path);
    }
    expect(await open().find(key)).toBeDefined();
    const after = readManifest(join(folder, key));
    expect(after?.files.map(({ sha256 }) => sha256)).toEqual(
      before?.files.map(({ sha256 }) => sha256),
    );
    expect(after?.files).not.toEqual(before?.files);
  });

  it("verifies what it has by reading it", async () => {
    await open().obtain(key, make);
    expect(await open().verify(key)).toBeUndefined();
    spoil(join(folder, memory));
    expect(await open().verify(key)).toBe("memory has changed");
  });

  it("removes the least recently used beyond its limit, and never the one just made", async () => {
    await open().obtain(other, make);
    const used = new Date(Date.now() - 60_000);
    utimesSync(join(folder, other, "template.json"), used, used);
    await open(1).obtain(key, make);
    expect(
      open()
        .list()
        .map((template) => template.key),
    ).toEqual([key]);
  });

  it("removes what a killed maker left, and nothing of one at work", () => {
    for (const [name, pid] of [
      ["making-dead", undefined],
      ["making-live", process.pid],
    ] as const) {
      mkdirSync(join(folder, name));
      const file = join(folder, name, "maker.pid");
      if (pid === undefined) writeFileSync(file, "999999999 1\n");
      else writePidFile(file, pid);
    }
    expect(open().trim()).toEqual(["making-dead"]);
    expect(readdirSync(folder)).toEqual(["making-live"]);
  });
});

function rewriteKey(folder: string): void {
  const path = join(folder, "template.json");
  writeFileSync(path, readFileSync(path, "utf8").replace(key, other));
}
