/** The cache of packed root file systems, without a VM. Needs root and mkfs.erofs. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import type { PackedTree } from "../../runtime-shim/disks/root-tree.ts";
import { createRootfsCache } from "../../runtime-shim/disks/rootfs-cache.ts";
import { trimCache } from "../../runtime-shim/disks/trim-cache.ts";

const root = mkdtempSync("/tmp/kcache-");
const unlimited = 2 ** 40;
let folder: string;
let layer: string;
let tree: PackedTree;

beforeEach(() => {
  const home = mkdtempSync(join(root, "t-"));
  folder = join(home, "cache");
  layer = join(home, "layer");
  mkdirSync(layer);
  // What cannot be compressed, so that sizes are what they seem.
  execFileSync("dd", ["if=/dev/urandom", `of=${join(layer, "file")}`, "bs=64k", "count=16"], {
    stdio: "ignore",
  });
  tree = { kind: "folder", path: layer, reusable: true };
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let works = 0;
function workDir(): string {
  const path = join(root, `w${works++}`);
  mkdirSync(path);
  return path;
}
const open = (maxBytes = unlimited) => createRootfsCache({ folder, maxBytes });
const packed = () => readdirSync(folder).filter((name) => !name.startsWith("lock"));

describe("packed root file systems", () => {
  it("are made once by several shims that ask at the same time", async () => {
    const files = await Promise.all([1, 2, 3].map(() => open().fileOf(tree, workDir())));
    expect(new Set(files).size).toBe(1);
    expect(packed()).toEqual([expect.stringMatching(/^[0-9a-f]{40}\.erofs$/)]);
  });

  it.each<[string, (file: string) => void]>([
    ["content", (file) => writeFileSync(file, "other")],
    // Size and times as before: only the ctime tells, and nobody can set that.
    [
      "content behind the clock's back",
      (file) => {
        const bytes = readFileSync(file);
        bytes[0] = ~(bytes[0] ?? 0) & 0xff;
        writeFileSync(file, bytes);
        utimesSync(file, 1, 1);
      },
    ],
    ["a mode", (file) => execFileSync("chmod", ["0700", file])],
    ["a name", (file) => execFileSync("mv", [file, `${file}2`])],
  ])("are another one when a layer's %s changed", async (_, change) => {
    utimesSync(join(layer, "file"), 1, 1);
    const before = await open().fileOf(tree, workDir());
    change(join(layer, "file"));
    const after = await open().fileOf(tree, workDir());
    expect(after).not.toBe(before);
    expect(packed()).toHaveLength(2);
  });

  it("are another one for a folder that came again under the same path", async () => {
    const before = await open().fileOf(tree, workDir());
    const copy = `${layer}-copy`;
    execFileSync("cp", ["-a", layer, copy]);
    rmSync(layer, { recursive: true });
    execFileSync("mv", [copy, layer]);
    expect(await open().fileOf(tree, workDir())).not.toBe(before);
  });

  it("leave nothing where the disk is full, and say so", async () => {
    mkdirSync(folder);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=512k", "none", folder]);
    try {
      await expect(open().fileOf(tree, workDir())).rejects.toMatchObject({ code: "ROOTFS_SPACE" });
      expect(packed()).toEqual([]);
    } finally {
      execFileSync("umount", [folder]);
    }
  });
});

describe("trimming", () => {
  const old = (name: string, bytes = 4096) => {
    const path = join(folder, name);
    writeFileSync(path, Buffer.alloc(bytes, 1));
    utimesSync(path, 1000, 1000 + Number.parseInt(name, 10));
    return path;
  };
  beforeEach(() => mkdirSync(folder));

  it("takes the least recently used first, and no more than needed", () => {
    for (const name of ["3.erofs", "1.erofs", "2.erofs"]) old(name);
    expect(trimCache(folder, { maxBytes: 2 * 4096 })).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["2.erofs", "3.erofs"]);
  });

  it("leaves what a process has open, what was just used and what is to be kept", () => {
    const fd = openSync(old("1.erofs"), "r");
    writeFileSync(join(folder, "2.erofs"), "fresh");
    const keep = old("3.erofs");
    old("4.erofs");
    expect(trimCache(folder, { maxBytes: 0, keep })).toBe(true);
    closeSync(fd);
    expect(readdirSync(folder).sort()).toEqual(["1.erofs", "2.erofs", "3.erofs"]);
  });

  it("takes what a killed packing left, however small", () => {
    old("1.tmp");
    expect(trimCache(folder, { maxBytes: unlimited })).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("does nothing while all fits", () => {
    old("1.erofs");
    expect(trimCache(folder, { maxBytes: unlimited })).toBe(false);
  });
});
