// Templates that several processes want at once, and makers that are killed.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { buildSync } from "esbuild";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { createTemplateStore } from "../../runtime-shim/templates/template-store.ts";

const key = "0123456789abcdef0123";

/** Makes a template, or the beginning of one, when it is its turn. */
const source = `
  import { writeFileSync } from "node:fs";
  import { join } from "node:path";
  import { createTemplateStore } from "./runtime-shim/templates/template-store.ts";
  const [folder, key, how] = process.argv.slice(2);
  const log = { info() {}, warn() {} };
  const store = createTemplateStore({ folder, maxBytes: 2 ** 30, log });
  await store.obtain(key, async (content) => {
    process.stdout.write("making ");
    writeFileSync(join(content, "memory"), "made by " + process.pid);
    if (how === "hang") await new Promise((resolve) => setTimeout(resolve, 2 ** 30));
    const inputs = { rung: "qemu/tcg", vcpus: 1, memoryMib: 256, nic: "none" };
    return { inputs, kernelRelease: "6.1" };
  });
  process.stdout.write("has it");
`;

describe("makers of templates in processes of their own", () => {
  const bundle = mkdtempSync(join(tmpdir(), "maker-"));
  const program = join(bundle, "maker.mjs");
  let folder: string;
  beforeAll(() => {
    const stdin = { contents: source, resolveDir: join(import.meta.dirname, "../..") };
    buildSync({ stdin, bundle: true, platform: "node", format: "esm", outfile: program });
  });
  afterAll(() => rmSync(bundle, { recursive: true }));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "makers-"));
  });
  const launched: ChildProcess[] = [];
  afterEach(() => {
    for (const child of launched.splice(0)) child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  });

  const launch = (how: "make" | "hang") => {
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const child = spawn(process.execPath, [program, folder, key, how], { stdio: [...stdio] });
    launched.push(child);
    return child;
  };
  const store = () => createTemplateStore({ folder, maxBytes: 2 ** 30, log: silentLogger });
  const said = (child: ChildProcess) => text(child.stdout as NodeJS.ReadableStream);

  it("make one once, and all have it", async () => {
    const words = await Promise.all(Array.from({ length: 4 }, () => said(launch("make"))));
    expect(words.sort()).toEqual(["has it", "has it", "has it", "making has it"]);
    expect(readdirSync(folder).sort()).toEqual([key, `${key}.lock`]);
  });

  it("are followed by the next when they are killed, who takes away what they left", async () => {
    const killed = launch("hang");
    await once(killed.stdout as NodeJS.ReadableStream, "data");
    const waiting = said(launch("make"));
    const making = () => readdirSync(folder).filter((name) => name.startsWith("making-"));
    expect(making()).toHaveLength(1);
    expect(await store().find(key)).toBeUndefined();
    // A maker at work is left alone.
    expect(store().trim()).toEqual([]);
    killed.kill("SIGKILL");
    expect(await waiting).toBe("making has it");
    expect(making()).toEqual([]);
    const memory = readFileSync(join(folder, key, "memory"), "utf8");
    expect(memory).not.toBe(`made by ${killed.pid}`);
  });
});
