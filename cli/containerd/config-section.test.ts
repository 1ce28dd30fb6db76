import { parse } from "smol-toml";
import { describe, expect, it } from "vitest";
import { readSection, withoutSection, withSection } from "./config-section.ts";

const file = "/etc/containerd/config.toml";
const handler = {
  name: "kata-mshv-vm-isolation",
  runtimeType: "/usr/local/bin/containerd-shim-katasim-v2",
  configPath: "/etc/containerd/katasim/kata-mshv-vm-isolation.json",
};
const theirs = `# mine
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:1" # keep
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`;
const install = (text: string | undefined) => withSection(text, [handler], file);

describe("the section in containerd's configuration", () => {
  it.each([
    ["a usual config", theirs],
    ["a config whose last line has no end", theirs.trimEnd()],
    ["a config with what came after", `${theirs}\n[debug]\n  level = "debug"\n`],
    ["version 3", 'version = 3\n[plugins."io.containerd.cri.v1.runtime"]\n'],
    ["a disabled CRI", 'version = 2\ndisabled_plugins = ["cri"]\n'],
  ])("comes and goes without a trace in %s", (_, text) => {
    const installed = install(text);
    expect(installed.startsWith(text)).toBe(true);
    expect(readSection(installed, file).handlers).toEqual([handler]);
    expect(install(installed)).toBe(installed);
    expect(withoutSection(installed)).toBe(text);
  });

  it("adds to the table of the config's version", () => {
    const runtimesOf = (text: string, plugin: string) =>
      (parse(text) as { plugins: Record<string, { containerd: { runtimes: object } }> }).plugins[
        plugin
      ]?.containerd.runtimes;
    expect(runtimesOf(install(theirs), "io.containerd.grpc.v1.cri")).toMatchObject({
      runc: { runtime_type: "io.containerd.runc.v2" },
      "kata-mshv-vm-isolation": {
        runtime_type: handler.runtimeType,
        options: { ConfigPath: handler.configPath },
      },
    });
    expect(runtimesOf(install("version = 3\n"), "io.containerd.cri.v1.runtime")).toHaveProperty([
      handler.name,
    ]);
  });

  it("makes a config where there is none, and takes it away", () => {
    expect(withoutSection(install(undefined))).toBeUndefined();
  });

  it("keeps what was written around it since", () => {
    const installed = `${install(theirs)}[debug]\n`;
    expect(withoutSection(installed)).toBe(`${theirs}[debug]\n`);
  });

  it("says whether CRI can use it", () => {
    expect(readSection(install(theirs), file).criDisabled).toBe(false);
    expect(
      readSection(install('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'), file)
        .criDisabled,
    ).toBe(true);
  });

  const runtimes = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes';
  it.each([
    ["no TOML", "version = = 2", "CONTAINERD_CONFIG", /config\.toml at line 1: it is not TOML/],
    ["no version", "[plugins]\n", "CONTAINERD_CONFIG", /has version 1$/],
    ["a version to come", "version = 9\n", "CONTAINERD_CONFIG", /has version 9$/],
    ["plugins that are none", "version = 2\nplugins = 3\n", "CONTAINERD_CONFIG", /plugins: /],
    [
      "somebody else's handler",
      `version = 2\n[${runtimes}.${handler.name}]\nruntime_type = "x"\n`,
      "HANDLER_TAKEN",
      /has a runtime "kata-mshv-vm-isolation" already/,
    ],
    [
      "an inline table",
      `version = 2\nplugins = {"io.containerd.grpc.v1.cri" = {sandbox_image = "x"}}\n`,
      "CONTAINERD_CONFIG",
      /cannot be added/,
    ],
  ])("refuses %s", (_, text, code, message) => {
    expect(() => install(text)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
