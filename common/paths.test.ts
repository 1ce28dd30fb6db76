import { describe, expect, it } from "vitest";
import { resolvePaths } from "./paths.ts";

describe("resolvePaths", () => {
  it("puts everything under one home", () => {
    const paths = resolvePaths({ name: "default", home: "/h", env: {} });
    for (const path of [paths.state, paths.cache, paths.run, paths.config, paths.database]) {
      expect(path.startsWith("/h/")).toBe(true);
    }
  });

  it("takes KATASIM_HOME when no home is given", () => {
    expect(resolvePaths({ name: "a", env: { KATASIM_HOME: "/k" } }).state).toBe("/k/state/a");
  });

  it("follows the XDG base directories", () => {
    const env = { HOME: "/u", XDG_STATE_HOME: "/s", XDG_RUNTIME_DIR: "/r" };
    const paths = resolvePaths({ name: "a", env });
    expect(paths.state).toBe("/s/katasim/a");
    expect(paths.run).toBe("/r/katasim/a");
    expect(paths.cache).toBe("/u/.cache/katasim");
  });

  it("lets KATASIM_CACHE share images and guest between homes", () => {
    const paths = resolvePaths({ name: "a", home: "/h", env: { KATASIM_CACHE: "/shared" } });
    expect(paths.guest).toBe("/shared/guest");
  });

  it("tells instances of one name in two homes apart on the machine", () => {
    const machineName = (home?: string) =>
      resolvePaths({ name: "a", home, env: { HOME: "/u" } }).machineName;
    expect(new Set([machineName(), machineName("/h"), machineName("/i")]).size).toBe(3);
    expect(machineName()).toBe("a");
  });

  it("keeps instances apart but shares the cache", () => {
    const a = resolvePaths({ name: "a", home: "/h", env: {} });
    const b = resolvePaths({ name: "b", home: "/h", env: {} });
    expect(a.state).not.toBe(b.state);
    expect(a.run).not.toBe(b.run);
    expect(a.images).toBe(b.images);
  });
});
