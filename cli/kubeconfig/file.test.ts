import { existsSync, mkdtempSync } from "node:fs";
import { lstat, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { removeKubeconfigEntry, writeKubeconfigEntry } from "./file.ts";
import { withKubeconfigLock } from "./lock.ts";
import { findInKubeconfig } from "./merge.ts";

const entry = {
  name: "katasim-default",
  server: "https://127.0.0.1:6443",
  certificateAuthorityData: "Y2E=",
  clientCertificateData: "Y2VydA==",
  clientKeyData: "a2V5",
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kubeconfig-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("writeKubeconfigEntry", () => {
  it("makes the file with mode 0600 and leaves no lock", async () => {
    const flag = join(folder, "sub", "config");
    expect(await writeKubeconfigEntry({ flag, env: {} }, entry, { switchContext: true })).toBe(
      flag,
    );
    expect((await stat(flag)).mode & 0o777).toBe(0o600);
    expect(existsSync(`${flag}.lock`)).toBe(false);
  });

  it("follows a link and keeps it", async () => {
    const real = join(folder, "real");
    const flag = join(folder, "link");
    await writeFile(real, "");
    await symlink(real, flag);
    await writeKubeconfigEntry({ flag, env: {} }, entry, { switchContext: true });
    expect((await lstat(flag)).isSymbolicLink()).toBe(true);
    expect(findInKubeconfig(await readFile(real, "utf8"), entry.name)).toEqual(entry);
  });

  it("does not touch a file that would not change", async () => {
    const flag = join(folder, "config");
    await writeKubeconfigEntry({ flag, env: {} }, entry, { switchContext: true });
    const before = (await stat(flag)).ino;
    await writeKubeconfigEntry({ flag, env: {} }, entry, { switchContext: true });
    expect((await stat(flag)).ino).toBe(before);
  });

  it("leaves a broken file as it was", async () => {
    const flag = join(folder, "config");
    await writeFile(flag, "a: [1,");
    const write = writeKubeconfigEntry({ flag, env: {} }, entry, { switchContext: true });
    await expect(write).rejects.toThrow(/not valid YAML/);
    expect(await readFile(flag, "utf8")).toBe("a: [1,");
    expect(existsSync(`${flag}.lock`)).toBe(false);
  });
});

describe("removeKubeconfigEntry", () => {
  it("changes each file of the list that names us, and no other", async () => {
    const [a, b, c] = ["a", "b", "c"].map((name) => join(folder, name)) as [string, string, string];
    for (const flag of [a, b]) {
      await writeKubeconfigEntry({ flag, env: {} }, entry, { switchContext: true });
    }
    await writeFile(c, "current-context: mine\n");
    const env = { KUBECONFIG: `${a}:${b}:${c}:${join(folder, "missing")}` };
    expect(await removeKubeconfigEntry({ env }, entry.name)).toEqual([a, b]);
    expect(await readFile(c, "utf8")).toBe("current-context: mine\n");
    expect(await removeKubeconfigEntry({ env }, entry.name)).toEqual([]);
  });
});

describe("removeKubeconfigEntry of one authority", () => {
  it("leaves the instance of the same name in another home alone", async () => {
    const flag = join(folder, "config");
    await writeKubeconfigEntry({ flag, env: {} }, entry, { switchContext: true });
    expect(await removeKubeconfigEntry({ flag, env: {} }, entry.name, "b3RoZXI=")).toEqual([]);
    expect(findInKubeconfig(await readFile(flag, "utf8"), entry.name)).toEqual(entry);
    const authority = entry.certificateAuthorityData;
    expect(await removeKubeconfigEntry({ flag, env: {} }, entry.name, authority)).toEqual([flag]);
  });
});

describe("withKubeconfigLock", () => {
  it("waits for kubectl's lock, then names it", async () => {
    await mkdir(folder, { recursive: true });
    const file = join(folder, "config");
    await writeFile(`${file}.lock`, "");
    let nowMs = 0;
    const clock = {
      nowMs: () => nowMs,
      sleep: async (delayMs: number) => {
        nowMs += delayMs;
      },
    };
    const locked = withKubeconfigLock(file, async () => 1, { clock });
    await expect(locked).rejects.toMatchObject({
      code: "KUBECONFIG_LOCKED",
      hint: expect.stringContaining(`rm ${file}.lock`),
    });
    expect(nowMs).toBeGreaterThanOrEqual(5000);
    expect(existsSync(`${file}.lock`)).toBe(true);
  });

  it("goes on when the lock is let go", async () => {
    const file = join(folder, "config");
    await writeFile(`${file}.lock`, "");
    const clock = { nowMs: () => 0, sleep: () => rm(`${file}.lock`) };
    expect(await withKubeconfigLock(file, async () => 7, { clock })).toBe(7);
  });
});
