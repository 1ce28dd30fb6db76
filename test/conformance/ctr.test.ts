/** Genuine containerd and ctr with our shim as their runtime. Needs root and containerd. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { guestFolder, vmTestObstacle } from "../support/guest-image.ts";
import { runProgram } from "../support/kubectl.ts";
import { processes } from "../support/leaks.ts";
import { waitUntil } from "../support/wait-until.ts";

const shim =
  process.env.KATASIM_TEST_SHIM ??
  join(import.meta.dirname, "../../bin/containerd-shim-katasim-v2");
const image = "docker.io/library/katasim-base:1";

function obstacle(): string | undefined {
  try {
    execFileSync("sh", ["-c", "command -v containerd && command -v ctr"]);
  } catch {
    return "containerd and ctr are not installed";
  }
  return vmTestObstacle();
}
const why = obstacle();
if (why !== undefined) console.warn(`skipped: ${why}`);

describe.skipIf(why !== undefined)("ctr with our shim", () => {
  const folder = mkdtempSync("/tmp/kctr-");
  const socket = join(folder, "c.sock");
  let containerd: ChildProcess;

  const ctr = (args: readonly string[], stdin = "") =>
    runProgram("ctr", ["-a", socket, ...args], {
      stdin,
      // ctr has no way to give options to an unknown runtime: the shim finds the guest by itself.
      timeoutMs: 60_000,
    });
  const run = (id: string, args: readonly string[], flags: readonly string[] = [], stdin = "") =>
    ctr(["run", ...flags, "--runtime", shim, image, id, ...args], stdin);

  beforeAll(async () => {
    const config = join(folder, "config.toml");
    writeFileSync(
      config,
      `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
`,
    );
    const log = openSync(join(folder, "log"), "w");
    containerd = spawn("containerd", ["-c", config], { stdio: ["ignore", log, log] });
    await waitUntil(async () => (await ctr(["version"])).exitCode === 0, { what: "containerd" });
    const imported = await ctr(["images", "import", dockerArchive(folder)]);
    expect(imported.exitCode).toBe(0);
  });

  afterAll(async () => {
    const exited = new Promise((resolve) => containerd.once("exit", resolve));
    containerd.kill("SIGTERM");
    await exited;
    expect(processes({ home: folder, instance: "-" })).toEqual([]);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(folder);
    rmSync(folder, { recursive: true, force: true });
  });

  // What is run, and what genuine ctr is to say.
  it.each([
    ["passes the exit code on", ["sh", "-c", "exit 5"], 5, "", ""],
    ["keeps stdout and stderr apart", ["sh", "-c", "echo out; echo err >&2"], 0, "out\n", "err\n"],
    ["gives stdin to the program", ["cat"], 0, "given\n", ""],
  ])("%s", async (_, args, exitCode, stdout, stderr) => {
    expect(await run("one", args, ["--rm"], "given\n")).toEqual({ exitCode, stdout, stderr });
  });

  it("runs another kernel than the host's", async () => {
    const release = JSON.parse(
      readFileSync(join(guestFolder(), "release.json"), "utf8"),
    ).kernelRelease;
    expect((await run("kernel", ["uname", "-r"], ["--rm"])).stdout).toBe(`${release}\n`);
  });

  it("says which command does not exist", async () => {
    const { exitCode, stderr } = await run("missing", ["no-such-command"], ["--rm"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('exec: "no-such-command": executable file not found in $PATH');
  });

  it("lists, execs, pauses, resumes, measures and kills a task", async () => {
    expect(
      (await run("long", ["sleep", "1000"], ["-d", "--memory-limit", "268435456"])).exitCode,
    ).toBe(0);
    const listed = async () => (await ctr(["task", "ls"])).stdout;
    expect(await listed()).toMatch(/^long\s+\d+\s+RUNNING/m);
    const sized = await ctr([
      "task",
      "exec",
      "--exec-id",
      "e1",
      "long",
      "sh",
      "-c",
      "nproc; exit 3",
    ]);
    expect([sized.exitCode, sized.stdout]).toEqual([3, "1\n"]);
    await ctr(["task", "pause", "long"]);
    expect(await listed()).toContain("PAUSED");
    await ctr(["task", "resume", "long"]);
    expect((await ctr(["task", "metrics", "long"])).stdout).toContain("268435456");
    await ctr(["task", "kill", "-s", "SIGKILL", "long"]);
    await waitUntil(async () => (await listed()).includes("STOPPED"), { what: "the end" });
    await ctr(["task", "rm", "long"]);
    expect((await ctr(["container", "rm", "long"])).exitCode).toBe(0);
    const bundles = join(folder, "state/io.containerd.runtime.v2.task/default");
    await waitUntil(() => readdirSync(bundles).length === 0, { what: "the bundle to go" });
  });
});

/** An archive as `docker save` makes it, of the built-in base image. */
function dockerArchive(folder: string): string {
  const content = join(folder, "image");
  mkdirSync(content);
  copyFileSync(join(guestFolder(), "base-image/rootfs.tar"), join(content, "layer.tar"));
  const digest = createHash("sha256")
    .update(readFileSync(join(content, "layer.tar")))
    .digest("hex");
  const config = JSON.parse(readFileSync(join(guestFolder(), "base-image/config.json"), "utf8"));
  const rootfs = { type: "layers", diff_ids: [`sha256:${digest}`] };
  writeFileSync(join(content, "config.json"), JSON.stringify({ ...config, rootfs }));
  const manifest = [{ Config: "config.json", RepoTags: [image], Layers: ["layer.tar"] }];
  writeFileSync(join(content, "manifest.json"), JSON.stringify(manifest));
  const archive = join(folder, "image.tar");
  execFileSync("tar", ["-cf", archive, "-C", content, "config.json", "manifest.json", "layer.tar"]);
  rmSync(content, { recursive: true });
  return archive;
}
