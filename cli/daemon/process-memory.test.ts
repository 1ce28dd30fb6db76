import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { memoryOf, processTree, sumMemory } from "./process-memory.ts";

describe("memoryOf", () => {
  it("counts this process by its share of the pages, which is less than what is resident", () => {
    const { bytes, measure } = memoryOf(process.pid);
    expect(measure).toBe("pss");
    expect(bytes).toBeGreaterThan(10 * 2 ** 20);
    expect(bytes).toBeLessThan(process.memoryUsage.rss() + 50 * 2 ** 20);
  });

  it("is nothing for a process that has gone", () => {
    expect(memoryOf(2 ** 22 + 1)).toEqual({ bytes: 0, measure: "pss" });
  });
});

describe("sumMemory", () => {
  it("says so when a part of the sum is resident size", () => {
    expect(
      sumMemory([
        { bytes: 1, measure: "pss" },
        { bytes: 2, measure: "rss" },
      ]),
    ).toEqual({ bytes: 3, measure: "rss" });
    expect(sumMemory([])).toEqual({ bytes: 0, measure: "pss" });
  });
});

describe("processTree", () => {
  it("finds children and grandchildren", async () => {
    const child = spawn("sh", ["-c", "sleep 60 & echo $!; wait"], {
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    try {
      const [line] = await once(child.stdout, "data");
      const grandchild = Number(String(line).trim());
      const below = processTree();
      expect(below(process.pid)).toEqual(expect.arrayContaining([child.pid, grandchild]));
      expect(below(child.pid ?? 0)).toEqual([grandchild]);
      expect(below(grandchild)).toEqual([]);
    } finally {
      process.kill(-(child.pid ?? 0), "SIGKILL");
    }
  });
});
