/** That scripts/bench still runs and tells what it saw; nothing is said of the figures themselves. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { containerdObstacle } from "../support/containerd.ts";
import { runProgram } from "../support/kubectl.ts";

const bench = join(import.meta.dirname, "../../scripts/bench");
const why = containerdObstacle({ cri: true });
if (why !== undefined) console.warn(`skipped: ${why}`);

describe("scripts/bench", () => {
  it("refuses a row that it does not have", async () => {
    const { exitCode, stderr } = await runProgram(bench, ["no-such-row"]);
    expect([exitCode, stderr]).toEqual([
      2,
      'error: there is no row "no-such-row"\n  try: scripts/bench -l\n',
    ]);
  });

  it.skipIf(why !== undefined)("measures both runtimes and leaves nothing", async () => {
    const options = { timeoutMs: 110_000 };
    const { exitCode, stdout, stderr } = await runProgram(
      bench,
      ["-n", "1", "-o", "json", "run-pod-sandbox"],
      options,
    );
    expect(stderr).not.toMatch(/error|left behind/);
    expect(exitCode).toBe(0);
    const once = { n: 1, best: expect.any(Number), median: expect.any(Number) };
    expect(JSON.parse(stdout)).toMatchObject({
      conditions: [expect.stringMatching(/ vCPU, \d+ MiB$/)],
      rows: [{ name: "run-pod-sandbox", unit: "ms", sides: { runc: once, katasim: once } }],
    });
  });
});
