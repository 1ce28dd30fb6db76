import { describe, expect, it } from "vitest";
import { formatTable, humanDuration } from "./table.ts";

interface Row {
  readonly name: string;
  readonly size?: number;
}
const columns = [
  { head: "NAME", cell: (row: Row) => row.name },
  { head: "SIZE", cell: (row: Row) => row.size },
  { head: "MORE", cell: () => "x", wide: true },
];

describe("formatTable", () => {
  it("aligns columns three spaces apart and ends lines at the last cell", () => {
    const text = formatTable(columns, [{ name: "a", size: 1 }, { name: "longer" }]);
    expect(text).toBe("NAME     SIZE\na        1\nlonger   <none>\n");
  });

  it("shows wide columns on request and leaves out heads on request", () => {
    expect(formatTable(columns, [{ name: "a", size: 1 }], { wide: true, headers: false })).toBe(
      "a   1   x\n",
    );
  });

  it("replaces control characters, which a pod could have chosen", () => {
    expect(formatTable(columns, [{ name: "a\x1b[2Jb\nc" }], { headers: false })).toBe(
      "a [2Jb c   <none>\n",
    );
  });
});

describe("humanDuration", () => {
  it.each([
    [0, "0s"],
    [-5, "0s"],
    [119_000, "119s"],
    [120_000, "2m"],
    [200_000, "3m20s"],
    [600_000, "10m"],
    [3 * 3_600_000 + 60_000, "3h1m"],
    [9 * 3_600_000, "9h"],
    [49 * 3_600_000, "2d1h"],
    [9 * 86_400_000, "9d"],
  ])("prints %d ms as %s, as kubectl does", (ms, text) => {
    expect(humanDuration(ms)).toBe(text);
  });
});
