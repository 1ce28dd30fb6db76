/** That scripts/bench still runs and tells what it saw; nothing is said of the figures themselves. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { containerdObstacle } from "../support/containerd.ts";
import { dockerdObstacle } from "../support/dockerd.ts";
import { runProgram } from "../support/kubectl.ts";
import { makeTempHome, type TempHome } from "../support/temp-home.ts";

const bench = join(import.meta.dirname, "../../scripts/bench");
const why = containerdObstacle({ cri: true }) ?? dockerdObstacle();
if (why !== undefined) console.warn(`skipped: ${why}`);

interface Report {
  readonly machine: Record<string, unknown>;
  readonly conditions: readonly string[];
  readonly results: Record<string, Record<string, unknown>>;
}

describe("scripts/bench", () => {
  let home: TempHome;
  beforeAll(async () => {
    home = await makeTempHome();
  });
  afterAll(async () => {
    await home?.[Symbol.asyncDispose]();
  });

  it.each([
    [["--only", "no-such-row"], 'there is no row or group "no-such-row"'],
    [["-n", "0"], '-n takes a whole number from 1 up, not "0"'],
    [["--json", "/no/such/folder/file"], "ENOENT"],
    [["--only", "docker", "--all"], "--only and --all exclude each other"],
    [["docker"], "Unexpected argument 'docker'"],
  ])("refuses %j", async (args, words) => {
    const { exitCode, stdout, stderr } = await runProgram(bench, args);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(words);
    expect(stderr).toMatch(/\n {2}try: scripts\/bench --help\n$/);
  });

  it("lists every row with its group", async () => {
    const { exitCode, stdout } = await runProgram(bench, ["--list"]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^pod-starts, 20 passes:\n {2}docker +ms +\S/);
    expect(stdout).toMatch(/^ {2}run-pod-sandbox-katasim +ms +\S/m);
  });

  it.skipIf(why !== undefined)("measures, with the peers, and leaves nothing", async () => {
    const file = join(home.path, "figures.json");
    const rows = ["docker", "runsc", "up", "run-pod-sandbox-katasim"];
    const { exitCode, stdout, stderr } = await runProgram(
      bench,
      ["-n", "1", "--json", file, "--only", rows.join(",")],
      { timeoutMs: 110_000 },
    );
    expect(stderr).not.toMatch(/error|left behind/);
    expect(exitCode).toBe(0);
    const { machine, conditions, results } = JSON.parse(readFileSync(file, "utf8")) as Report;
    expect(machine).toMatchObject({
      cpus: expect.any(Number),
      node: process.versions.node,
      qemu: expect.stringMatching(/^\d+\./),
      docker: expect.stringMatching(/^\d+\./),
    });
    expect(conditions.at(-1)).toMatch(/^containerd: .* vCPU, \d+ MiB$/);
    const measured = ["docker", "up", "run-pod-sandbox-runc", "run-pod-sandbox-katasim"];
    expect(Object.keys(results)).toEqual(["docker", "runsc", ...measured.slice(1)]);
    for (const name of measured) expectFigures(results[name]);
    // Where gVisor is not installed the row says so.
    if (results.runsc?.missing === undefined) expectFigures(results.runsc);
    else expect(results.runsc).toEqual({ missing: expect.stringContaining("not installed") });
    expect(results["run-pod-sandbox-katasim"]).toMatchObject({ peer: "run-pod-sandbox-runc" });
    for (const name of Object.keys(results)) expect(stdout).toMatch(new RegExp(`^${name} `, "m"));
  });
});

/** Of one sample: the three are the same, and none comes for free. */
function expectFigures(row: Record<string, unknown> | undefined): void {
  expect(row).toMatchObject({ n: 1, failures: 0, p50_ms: expect.any(Number) });
  expect(row?.p50_ms).toBeGreaterThan(0);
  expect([row?.p95_ms, row?.best_ms]).toEqual([row?.p50_ms, row?.p50_ms]);
}
