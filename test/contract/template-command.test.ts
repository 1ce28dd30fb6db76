// `katasim template` with real VMs, in a cache of its own.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../../cli/program.ts";
import { silentLogger } from "../../common/log.ts";
import { createTemplateCatalog } from "../../runtime-shim/index.ts";
import { guestFolder, vmTestObstacle } from "../support/guest-image.ts";

const why = vmTestObstacle();

describe.skipIf(why !== undefined)(`katasim template${why ? ` (skipped: ${why})` : ""}`, () => {
  const home = mkdtempSync("/tmp/ktc-");
  const cache = join(home, "cache");
  const templates = join(cache, "templates");
  beforeAll(() => {
    mkdirSync(cache);
    symlinkSync(guestFolder(), join(cache, "guest"));
  });
  afterAll(() => rmSync(home, { recursive: true }));

  async function run(line: string) {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const streams = {
      ...{ stdout, stderr, stdin: Readable.from([""]) },
      ...{ stderrIsTerminal: false, stdoutIsTerminal: false },
    };
    const env = { HOME: home, PATH: process.env.PATH, KATASIM_HOME: home, KATASIM_CACHE: cache };
    const exitCode = await runCli(["template", ...line.split(" ")], streams, env);
    return { exitCode, out: String(stdout.read() ?? ""), err: String(stderr.read() ?? "") };
  }
  const build = async (line: string) => {
    const { exitCode, out, err } = await run(`build ${line}`);
    expect([exitCode, out]).toEqual([0, expect.stringMatching(/^[0-9a-f]{20}\n$/)]);
    return { key: out.trim(), err };
  };
  const small = "--vcpus 1 --memory 256 --nic none";

  it("builds, lists, shows, removes and prunes", async () => {
    const first = await build(small);
    expect(first.err).toContain(`template ${first.key} made in `);
    const again = await build(small);
    expect(again).toEqual({ key: first.key, err: expect.stringContaining("was there") });
    const second = await build("--vcpus 2 --memory 256 --nic user");
    expect(second.key).not.toBe(first.key);

    const listed = await run("list -o json");
    expect(JSON.parse(listed.out)).toMatchObject({
      ...{ apiVersion: "katasim/v1", kind: "TemplateList" },
      items: [
        { key: second.key, usedBy: 0, manifest: { inputs: { vcpus: 2, nic: "user" } } },
        { key: first.key, usedBy: 0, manifest: { inputs: { memoryMib: 256, nic: "none" } } },
      ],
    });
    expect((await run("list -o name")).out).toBe(`template/${second.key}\ntemplate/${first.key}\n`);
    expect((await run("list")).err).toMatch(/^\d+Mi of at most 4096Mi\n$/);
    expect((await run(`show ${first.key.slice(0, 12)}`)).out).toContain('"kernelRelease"');

    expect(await run("prune --dry-run")).toMatchObject({ out: "" });
    const removed = await run(`remove ${second.key}`);
    expect(removed).toEqual({ exitCode: 0, out: `${second.key}\n`, err: "" });
    expect(await run(`remove ${second.key}`)).toMatchObject({ exitCode: 4, out: "" });

    rmSync(join(templates, first.key, "qemu-state"));
    writeFileSync(join(templates, first.key, "qemu-state"), "of something else");
    const verified = await run("list --verify");
    expect(verified).toMatchObject({
      exitCode: 1,
      out: expect.stringContaining("qemu-state has changed"),
    });

    mkdirSync(join(templates, "making-left"));
    writeFileSync(join(templates, "making-left", "maker.pid"), "999999999 1\n");
    const pruned = await run("prune --all");
    expect(pruned).toMatchObject({ exitCode: 0, out: `${first.key}\nmaking-left\n` });
    expect(readdirSync(templates).filter((name) => !name.endsWith(".lock"))).toEqual([]);
    expect((await run("list")).err).toContain("no templates yet");
  });

  it("prunes what no VM can be cloned from any more, and nothing else", async () => {
    const { key } = await build(small);
    const old = "0123456789abcdef0123";
    const manifest = {
      key: old,
      inputs: { rung: "qemu/tcg", vcpus: 1, memoryMib: 256, nic: "none" },
    };
    const facts = { kernelRelease: "1.0", madeAtMs: 0, madeInMs: 0 };
    const files = [{ name: "qemu-state", identity: "", sha256: "" }];
    mkdirSync(join(templates, old));
    writeFileSync(
      join(templates, old, "template.json"),
      JSON.stringify({ ...manifest, ...facts, files }),
    );
    expect((await run("prune --dry-run")).out).toBe(`${old}\n`);
    expect(readdirSync(templates)).toContain(old);
    expect((await run("prune")).out).toBe(`${old}\n`);
    expect(JSON.parse((await run("list -o json")).out).items).toMatchObject([{ key }]);
  });

  it("keeps a template of VMs with room to grow, which other sandboxes are cloned from", async () => {
    const options = { guestDir: guestFolder(), probeCacheDir: guestFolder() };
    const growing = createTemplateCatalog({
      ...{ options, folder: templates, log: silentLogger },
      socketFolder: join(home, "growing"),
    });
    const wish = { limits: {}, shape: { vcpus: 1, memoryMib: 256 }, nic: "none" } as const;
    const { manifest } = await growing.build({ ...wish, most: { vcpus: 1, memoryMib: 512 } });
    expect((await run("list -o name")).out).toContain(manifest.key);
    expect((await run("prune --dry-run")).out).not.toContain(manifest.key);
  });

  it.each([
    ["build --memory 64", 2, "a VM of 64 MiB is smaller than any pod's"],
    ["build --memory 99999999", 3, "and this machine has"],
    ["build --memory 1.5", 2, '--memory cannot be "1.5"'],
    ["build --vcpus 0", 2, '--vcpus cannot be "0"'],
    ["build --nic vhost", 2, "argument 'vhost' is invalid"],
    ["build --runtime-class runc", 2, "--runtime-class runc runs in no VM of ours"],
    ["show 99", 4, 'there is no template "99"'],
    ["remove ", 4, 'there is no template ""'],
  ])("answers `%s` with exit code %d", async (line, exitCode, words) => {
    expect(await run(line)).toEqual({ exitCode, out: "", err: expect.stringContaining(words) });
  });
});
