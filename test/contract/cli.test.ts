// What each command answers without a running node: exit codes, stdout for answers, stderr for talk.
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../../cli/program.ts";

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "cli-"));
});
afterAll(() => rm(home, { recursive: true }));

async function run(line: string, stdin = "") {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const streams = {
    stdout,
    stderr,
    stdin: Readable.from([stdin]),
    stderrIsTerminal: false,
    stdoutIsTerminal: false,
  };
  const argv = line === "" ? [] : line.split(" ");
  const env = { HOME: home, PATH: process.env.PATH, KATASIM_HOME: home, LANG: "C.UTF-8" };
  const exitCode = await runCli(argv, streams, env);
  return { exitCode, out: String(stdout.read() ?? ""), err: String(stderr.read() ?? "") };
}

const pod = `
kind: Pod
metadata: {name: web}
spec:
  runtimeClassName: kata-mshv-vm-isolation
  containers: [{name: web, resources: {limits: {cpu: 500m, memory: 256Mi}}}]
`;

describe("katasim", () => {
  it.each([
    ["", 0, /Usage: katasim[\s\S]*katasim up -d\n.*kubectl --context katasim-default/, /^$/],
    ["--help", 0, /Usage: katasim/, /^$/],
    ["up --help", 0, /--detach/, /^$/],
    ["--version", 0, /^\d+\.\d+\.\d+\n$/, /^$/],
    ["version", 0, /^katasim \d/, /^$/],
    ["version -o json", 0, /"kind": "Version"/, /^$/],
    [
      "stauts",
      2,
      /^$/,
      /error: unknown command 'stauts'\n {2}try: did you mean status\?\n {2}code: USAGE\n$/,
    ],
    ["up --accl tcg", 2, /^$/, /unknown option '--accl'\n {2}try: did you mean --accel\?/],
    ["up --accel fast", 2, /^$/, /argument 'fast' is invalid/],
    ["up --api-port x", 2, /^$/, /error: --api-port cannot be "x"/],
    ["up --wait soon", 2, /^$/, /--wait: "soon" is not a duration\n {2}try:/],
    ["up -n Upper", 2, /^$/, /"Upper" cannot be the name of an instance/],
    ["image", 2, /^$/, /image needs a verb/],
    ["size", 2, /^$/, /missing required argument 'file'/],
    ["size /nowhere.yaml", 2, /^$/, /cannot read \/nowhere\.yaml\n {2}why: ENOENT/],
    ["status -o xml", 2, /^$/, /unknown output format "xml"/],
    ["status", 4, /katasim "default" is stopped/, /start it: katasim up -d/],
    ["status -q -n other", 4, /katasim "other" is stopped/, /^$/],
    ["sandbox list", 0, /^$/, /no sandboxes/],
    ["sandbox list -o json", 0, /"kind": "SandboxList",\n {2}"items": \[\]/, /^$/],
    ["sandbox show web", 4, /^$/, /there is no sandbox "web"/],
    ["kubeconfig get", 4, /^$/, /has no credentials yet\n {2}try: .*katasim up -d/],
    ["kubeconfig remove", 0, /^$/, /nothing to do/],
    ["logs", 4, /^$/, /there is no log yet/],
    ["logs --component console", 2, /^$/, /component console needs a sandbox/],
    ["logs --component kernel", 2, /^$/, /unknown component "kernel"/],
    ["image list", 0, /^$/, /no images yet/],
    ["image remove nothing:v1", 4, /^$/, /no image is called nothing:v1/],
    ["image load /nowhere.tar", 2, /^$/, /nowhere\.tar/],
  ])("answers `katasim %s` with exit code %d", async (line, exitCode, out, err) => {
    const outcome = await run(line);
    expect(outcome).toMatchObject({
      out: expect.stringMatching(out),
      err: expect.stringMatching(err),
    });
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.err).not.toMatch(/\n\s+at /);
  });

  it("reads a manifest from standard input and explains its size", async () => {
    const { exitCode, out } = await run("size -", pod);
    expect(exitCode).toBe(0);
    expect(out).toContain("vCPUs: 1 (base) + 0.5 (sum of CPU limits) = 1.5, rounded up to 2");
    expect(out).toMatch(/sandbox: 2 vCPU, 2304 MiB\n$/);
  });

  it("sizes by another RuntimeClass when asked", async () => {
    const { out } = await run("size - --runtime-class kata-vm-isolation -o json", pod);
    expect(JSON.parse(out)).toMatchObject({ kind: "PodSize", vcpus: 1, memoryMib: 256 });
  });

  it("reports errors as JSON when the answer would be JSON", async () => {
    const { err } = await run("sandbox show web -o json");
    expect(JSON.parse(err).error).toMatchObject({ code: "NOT_FOUND", exitCode: 4 });
  });

  it("shows a stack with -vv only", async () => {
    expect((await run("sandbox show web -vv")).err).toMatch(/\n\s+at /);
  });

  it("plans without starting anything", async () => {
    const { exitCode, out } = await run("up --dry-run -o json --accel tcg --api-port 0");
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      kind: "Plan",
      settings: { accel: "tcg", apiPort: 0 },
      state: join(home, "state", "default"),
    });
    expect((await run("status")).exitCode).toBe(4);
  });

  it("names a mend for everything doctor misses", async () => {
    const { exitCode, out } = await run("doctor -o json");
    const { kind, ok, checks } = JSON.parse(out);
    expect(kind).toBe("Doctor");
    expect(exitCode).toBe(ok ? 0 : 3);
    expect(checks.length).toBeGreaterThan(15);
    for (const { state, fix } of checks) expect(state === "ok" || fix !== undefined).toBe(true);
  });

  it("lists every runtime handler with a reason", async () => {
    const { out } = await run("runtime list -o json");
    const { kind, items } = JSON.parse(out);
    expect(kind).toBe("RuntimeHandlerList");
    expect(items.map((item: { name: string }) => item.name)).toContain("kata-mshv-vm-isolation");
    for (const { reason } of items) expect(reason).not.toBe("");
  });
});
