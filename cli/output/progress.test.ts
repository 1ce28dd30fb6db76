import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { createProgress, type ProgressStyle } from "./progress.ts";

function run(style: ProgressStyle): string {
  const stream = new PassThrough();
  let nowMs = 0;
  const progress = createProgress({ style, stream, unicode: true, nowMs: () => (nowMs += 500) });
  progress.step("api", "Starting the API");
  progress.step("agent", "Starting the agent");
  progress.warn("no KVM");
  progress.fail();
  progress.done();
  return String(stream.read() ?? "");
}

describe("createProgress", () => {
  it("prints start and end of each step as lines", () => {
    expect(run("lines")).toBe(
      [
        " • Starting the API …",
        " ✓ Starting the API (0.5 s)",
        " • Starting the agent …",
        "warning: no KVM",
        " ✗ Starting the agent (0.5 s)",
        "",
      ].join("\n"),
    );
  });

  it("prints one JSON object per line", () => {
    const entries = run("json")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(entries).toEqual([
      { step: "api", state: "started" },
      { step: "api", state: "done", ms: 500 },
      { step: "agent", state: "started" },
      { warning: "no KVM" },
      { step: "agent", state: "failed", ms: 500 },
    ]);
  });

  it("clears the spinner's line before a warning", () => {
    expect(run("spinner")).toContain("\r\x1b[Kwarning: no KVM\n");
  });

  it("says nothing when silent", () => {
    expect(run("silent")).toBe("");
  });
});
