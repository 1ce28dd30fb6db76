import { describe, expect, it } from "vitest";
import { ownShimWords } from "./own-shims.ts";

describe("an engine's way with our shim", () => {
  it.each([
    ["20.10.24+dfsg1", /^cannot be told .* Docker 23 or newer can$/],
    ["23.0.6", /^takes katasim's shim by name, without options/],
    ["24.0.0-rc.1", /^takes .* with options: .*runtimeType/],
    ["29.5.0", /runtimeType/],
    ["dev", /^cannot/],
  ])("is that of its version: %s", (version, words) => {
    expect(ownShimWords(version)).toMatch(words);
  });
});
