// The bench's arithmetic: from samples to what its table and its JSON say.
import { describe, expect, it } from "vitest";
import { type Measured, resultsOf } from "../scripts/bench.d/figures.ts";
import { type Row, twinRows } from "../scripts/bench.d/group.ts";
import { readMachine } from "../scripts/bench.d/machine.ts";
import { jsonOf, textOf } from "../scripts/bench.d/report.ts";

const ms = (name: string, peer?: string): Row => ({
  name,
  unit: "ms",
  what: "-",
  ...(peer === undefined ? {} : { peer }),
});
const measured = (
  row: Row,
  samples: readonly number[],
  more: Partial<Measured> = {},
): Measured => ({
  row,
  samples,
  failures: 0,
  missing: undefined,
  ...more,
});
const to = (most: number) => Array.from({ length: most }, (_, index) => most - index);

describe("the bench's figures", () => {
  it("are median, 95th percentile and best, whatever the samples' order", () => {
    const [odd, even] = resultsOf([measured(ms("odd"), to(21)), measured(ms("even"), [4, 1])]);
    expect(odd).toMatchObject({ n: 21, p50: 11, p95: 20, best: 1 });
    expect(even).toMatchObject({ n: 2, p50: 2.5, p95: expect.closeTo(3.85), best: 1 });
  });

  it("take the slow end for the 95th percentile of a throughput", () => {
    const row: Row = { name: "logs", unit: "MiB/s", what: "-" };
    expect(resultsOf([measured(row, to(21))])).toMatchObject([{ p50: 11, p95: 2, best: 21 }]);
  });

  it("compare with the peer's median of the same run, where it has one", () => {
    const rows = [
      measured(ms("docker"), [100, 200, 300]),
      measured(ms("pod", "docker"), [500]),
      measured(ms("lonely", "runsc"), [1]),
      measured(ms("runsc"), []),
    ];
    expect(resultsOf(rows)).toMatchObject([
      { ratio: undefined },
      { ratio: 2.5 },
      { ratio: undefined },
      { missing: "the run ended before its turn" },
    ]);
  });

  it("say why there are none, and how many turns failed", () => {
    const [absent, failed, some] = resultsOf([
      measured(ms("absent"), [], { missing: "not installed" }),
      measured(ms("failed"), [], { failures: 3 }),
      measured(ms("some"), [1], { failures: 2 }),
    ]);
    expect(absent).toMatchObject({ missing: "not installed" });
    expect(failed).toMatchObject({ missing: "all 3 turns failed" });
    expect(some).toMatchObject({ n: 1, failures: 2 });
  });

  it("come with their unit in the JSON's keys, and in rows of the table", () => {
    const rows = twinRows([{ name: "cp", unit: "MiB/s", what: "-" }], ["trusted", "sandboxed"]);
    const results = resultsOf([
      ...rows.map((row, index) => measured(row, [10 / (index + 1)])),
      measured(ms("runsc"), [], { missing: "not installed" }),
    ]);
    const report = { machine: readMachine(), conditions: ["a fact"], results };
    expect(JSON.parse(jsonOf(report)).results).toEqual({
      "cp-trusted": of(10),
      "cp-sandboxed": { ...of(5), ratio: 0.5, peer: "cp-trusted" },
      runsc: { missing: "not installed" },
    });
    expect(textOf(report)).toMatch(
      /^cp-sandboxed +MiB\/s +1 +5 +5 +5 +0\.50 x cp-trusted\nrunsc +ms +- +missing: not installed\n/m,
    );
  });
});

const of = (value: number) => ({
  p50_mib_per_s: value,
  p95_mib_per_s: value,
  best_mib_per_s: value,
  n: 1,
  failures: 0,
});
