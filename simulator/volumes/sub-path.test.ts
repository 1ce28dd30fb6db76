import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resolveSubPath } from "./sub-path.ts";

let volume: string;
let outside: string;
beforeEach(async () => {
  const root = await realpath(await mkdtemp(join(tmpdir(), "katasim-subpath-")));
  volume = join(root, "volume");
  outside = join(root, "outside");
  await mkdir(volume);
  await mkdir(outside);
});
afterEach(() => rm(join(volume, ".."), { recursive: true, force: true }));

describe("resolveSubPath", () => {
  it("makes missing folders", async () => {
    expect(await resolveSubPath(volume, "a/b")).toBe(join(volume, "a/b"));
  });

  it("follows links that stay inside, to the thing itself", async () => {
    await mkdir(join(volume, "..2026"));
    await writeFile(join(volume, "..2026/key"), "v");
    await symlink("..2026", join(volume, "..data"));
    await symlink("..data/key", join(volume, "key"));
    expect(await resolveSubPath(volume, "key")).toBe(join(volume, "..2026/key"));
  });

  it.each(["..", "a/../../b", "/etc"])("refuses %s", async (subPath) => {
    await expect(resolveSubPath(volume, subPath)).rejects.toThrow("is not within the volume path");
  });

  it("refuses a link that leads out, also further down", async () => {
    await symlink(outside, join(volume, "way-out"));
    await expect(resolveSubPath(volume, "way-out")).rejects.toThrow("is not within");
    await expect(resolveSubPath(volume, "way-out/x")).rejects.toThrow("is not within");
  });

  it("refuses a link that leads nowhere", async () => {
    await symlink(join(outside, "not-yet"), join(volume, "dangling"));
    await expect(resolveSubPath(volume, "dangling")).rejects.toThrow("is not within");
  });

  it("is not fooled by a folder whose name begins like the volume's", async () => {
    await mkdir(`${volume}-other`);
    await symlink(`${volume}-other`, join(volume, "near"));
    await expect(resolveSubPath(volume, "near")).rejects.toThrow("is not within");
  });
});
