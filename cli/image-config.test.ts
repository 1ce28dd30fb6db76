import { describe, expect, it } from "vitest";
import { parseImageConfig } from "./image-config.ts";

const head = "apiVersion: katasim/v1\nkind: Config\n";

describe("parseImageConfig", () => {
  it("reads mirrors and aliases", () => {
    const text = `${head}images:
  aliases: [{image: "docker.io/library/ubuntu", servedBy: "katasim.local/base:v1"}]
  mirrors: {docker.io: [mirror.local:5000]}
`;
    expect(parseImageConfig(text, "f")).toEqual({
      aliases: [{ image: "docker.io/library/ubuntu", servedBy: "katasim.local/base:v1" }],
      mirrors: { "docker.io": ["mirror.local:5000"] },
    });
  });

  it("has nothing by default", () => {
    expect(parseImageConfig(head, "f")).toEqual({ aliases: [], mirrors: {} });
  });

  it.each([
    ["a misspelt key", `${head}images: {alias: []}\n`, /at images: .*"alias"/],
    ["another kind", "apiVersion: v1\nkind: Pod\n", /at apiVersion/],
    ["broken YAML", "a: [", undefined],
    ["an empty file", "", undefined],
  ])("refuses %s", (_, text, why) => {
    try {
      parseImageConfig(text, "/c/config.yaml");
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: "INPUT_INVALID" });
      expect(String(error)).toContain("/c/config.yaml");
      if (why) expect(String((error as Error).cause)).toMatch(why);
    }
  });
});
