import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { contentDigest } from "./content-digest.ts";

const mib = 2 ** 20;

describe("the digest of a file's content", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "digest-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A file of that size with words at offsets, and holes between. */
  const sparse = (name: string, size: number, words: Readonly<Record<number, string>>) => {
    const path = join(folder, name);
    const fd = openSync(path, "w");
    ftruncateSync(fd, size);
    for (const [offset, word] of Object.entries(words)) writeSync(fd, word, Number(offset));
    closeSync(fd);
    return path;
  };
  // More parts than one header of an archive has room for.
  const many = Object.fromEntries(
    Array.from({ length: 100 }, (_, part) => [part * 65_536 + part, `part ${part}`]),
  );

  it("is the same whether its zeros take space or not", async () => {
    const holes = sparse("holes", 8 * mib + 5, many);
    const full = join(folder, "full");
    execFileSync("cp", ["--sparse=never", holes, full]);
    expect(statSync(full).blocks).toBeGreaterThan(statSync(holes).blocks);
    expect(await contentDigest(full)).toBe(await contentDigest(holes));
  });

  it("is the same under another name", async () => {
    const path = sparse("one", mib, { 5000: "word" });
    const long = sparse("x".repeat(200), mib, { 5000: "word" });
    expect(await contentDigest(long)).toBe(await contentDigest(path));
  });

  it.each<[string, number, Record<number, string>]>([
    ["another byte", mib, { 5000: "wore" }],
    ["the same bytes elsewhere", mib, { 9096: "word" }],
    ["one byte more", mib, { 5000: "word", 900000: "x" }],
    ["another size", mib + 4_096, { 5000: "word" }],
    ["another size within a page", mib + 1, { 5000: "word" }],
    ["nothing but holes", mib, {}],
  ])("is another for %s", async (_, size, words) => {
    const before = await contentDigest(sparse("before", mib, { 5000: "word" }));
    expect(await contentDigest(sparse("after", size, words))).not.toBe(before);
  });

  it("knows empty files, and small ones without holes", async () => {
    const digests = new Set<string>();
    for (const content of ["", "a", "b", "a".repeat(4_096), "a".repeat(5_000)]) {
      writeFileSync(join(folder, "small"), content);
      digests.add(await contentDigest(join(folder, "small")));
    }
    expect(digests.size).toBe(5);
    expect(digests).not.toContain(createHash("sha256").digest("hex"));
  });

  it("says which file cannot be read", async () => {
    await expect(contentDigest(join(folder, "none"))).rejects.toThrow(/cannot read .*none/);
  });
});
