/** Genuine containerd and ctr with our shim as their runtime. Needs root and containerd. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  baseImageName,
  type Containerd,
  containerdObstacle,
  startContainerd,
} from "../support/containerd.ts";
import { guestFolder } from "../support/guest-image.ts";
import { waitUntil } from "../support/wait-until.ts";

const shim =
  process.env.KATASIM_TEST_SHIM ??
  join(import.meta.dirname, "../../bin/containerd-shim-katasim-v2");

const why = containerdObstacle();
if (why !== undefined) console.warn(`skipped: ${why}`);

describe.skipIf(why !== undefined)("ctr with our shim", () => {
  let containerd: Containerd;

  const ctr = (args: readonly string[], stdin = "") => containerd.ctr(args, { stdin });
  const run = (id: string, args: readonly string[], flags: readonly string[] = [], stdin = "") =>
    ctr(["run", ...flags, "--runtime", shim, baseImageName, id, ...args], stdin);

  beforeAll(async () => {
    containerd = await startContainerd();
    await containerd.importBaseImage();
  });

  afterAll(async () => {
    await containerd.stop();
    expect(containerd.leaks()).toEqual([]);
    await containerd.dispose();
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
    await waitUntil(() => containerd.bundles().length === 0, { what: "the bundle to go" });
  });
});
