import { mkdtemp, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type PayloadFile, writeAtomically } from "./atomic-writer.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "katasim-volume-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const payload = (files: Record<string, string>, mode = 0o644) =>
  new Map<string, PayloadFile>(
    Object.entries(files).map(([path, text]) => [path, { data: Buffer.from(text), mode }]),
  );

describe("writeAtomically", () => {
  it("shows files through ..data with their modes", async () => {
    await writeAtomically(folder, payload({ a: "1", "sub/b": "2" }, 0o400));
    expect(await readFile(join(folder, "a"), "utf8")).toBe("1");
    expect(await readFile(join(folder, "sub/b"), "utf8")).toBe("2");
    expect(await readlink(join(folder, "a"))).toBe("..data/a");
    expect((await stat(join(folder, "a"))).mode & 0o777).toBe(0o400);
  });

  it("replaces the whole set at once and leaves nothing of the old one", async () => {
    await writeAtomically(folder, payload({ a: "1", b: "2" }));
    const before = await readlink(join(folder, "..data"));
    expect(await writeAtomically(folder, payload({ b: "3", c: "4" }))).toBe(true);
    expect((await readdir(folder)).filter((name) => !name.startsWith(".."))).toEqual(["b", "c"]);
    expect(await readFile(join(folder, "b"), "utf8")).toBe("3");
    expect(await readdir(folder)).not.toContain(before);
  });

  it("writes nothing when nothing changed", async () => {
    await writeAtomically(folder, payload({ a: "1" }));
    const before = await readlink(join(folder, "..data"));
    expect(await writeAtomically(folder, payload({ a: "1" }))).toBe(false);
    expect(await readlink(join(folder, "..data"))).toBe(before);
  });

  it("writes again when only a mode changed", async () => {
    await writeAtomically(folder, payload({ a: "1" }, 0o644));
    expect(await writeAtomically(folder, payload({ a: "1" }, 0o600))).toBe(true);
  });

  it("lets the pod's group read", async () => {
    await writeAtomically(folder, payload({ a: "1" }, 0o400), process.getgid?.() ?? 0);
    expect((await stat(join(folder, "a"))).mode & 0o777).toBe(0o440);
  });

  it.each(["/a", "../a", "a/../b", "..data", ""])("refuses the path %j", async (path) => {
    await expect(writeAtomically(folder, payload({ [path]: "1" }))).rejects.toThrow(
      "must be relative and must not contain '..'",
    );
    expect(await readdir(folder)).toEqual([]);
  });

  it("always shows exactly the last set", async () => {
    const sets = fc.array(
      fc.dictionary(fc.constantFrom("a", "b", "c", "d/e", "d/f"), fc.string()),
      {
        minLength: 1,
        maxLength: 5,
      },
    );
    await fc.assert(
      fc.asyncProperty(sets, async (history) => {
        for (const files of history) await writeAtomically(folder, payload(files));
        const last = history.at(-1) ?? {};
        const shown: Record<string, string> = {};
        for (const path of Object.keys(last))
          shown[path] = await readFile(join(folder, path), "utf8");
        expect(shown).toEqual(last);
        const visible = (await readdir(folder)).filter((name) => !name.startsWith(".."));
        expect(new Set(visible)).toEqual(
          new Set(Object.keys(last).map((path) => path.split("/")[0])),
        );
      }),
      { numRuns: 30 },
    );
  });
});
