import { describe, expect, it } from "vitest";
import { parseNetworkList, pluginInput } from "./network-list.ts";

const parse = (value: unknown) => parseNetworkList(JSON.stringify(value), "net.conflist");
const list = { cniVersion: "1.0.0", name: "net", plugins: [{ type: "bridge", mtu: 1400 }] };

describe("parseNetworkList", () => {
  it("keeps what it does not know for the plugins", () => {
    expect(parse(list).plugins).toEqual([{ type: "bridge", mtu: 1400 }]);
  });

  it("takes one plugin alone for a list of one", () => {
    expect(parse({ cniVersion: "0.4.0", name: "net", type: "ptp", ipMasq: true })).toEqual({
      cniVersion: "0.4.0",
      name: "net",
      plugins: [{ type: "ptp", ipMasq: true }],
    });
  });

  it.each([
    ["cniVersion", { ...list, cniVersion: "0.2.0" }],
    ["cniVersion", { ...list, cniVersion: undefined }],
    ["name", { ...list, name: "a/b" }],
    ["plugins", { ...list, plugins: [] }],
    ["plugins[0].type", { ...list, plugins: [{}] }],
    ["plugins[1].type", { ...list, plugins: [{ type: "a" }, { type: "../b" }] }],
  ])("refuses a wrong %s and names it", (field, value) => {
    expect(() => parse(value)).toThrow(`net.conflist is no CNI configuration: ${field}: `);
  });

  it.each(["", "{", "[]", "7", '"x"'])("refuses %j", (text) => {
    expect(() => parseNetworkList(text, "f")).toThrow("f is no CNI configuration: ");
  });
});

describe("pluginInput", () => {
  const none = { capabilities: {}, prevResult: undefined };

  it("has the list's name and version, and no capabilities", () => {
    const [plugin] = parse({
      ...list,
      plugins: [{ type: "x", capabilities: { portMappings: true } }],
    }).plugins;
    expect(pluginInput(parse(list), plugin as never, none)).toEqual({
      type: "x",
      cniVersion: "1.0.0",
      name: "net",
    });
  });

  it("hands an argument to the plugins that declare its capability", () => {
    const plugin = { type: "x", capabilities: { portMappings: true, bandwidth: false } };
    const capabilities = { portMappings: [{ hostPort: 80 }], bandwidth: {}, dns: {} };
    const input = pluginInput(parse(list), plugin, { ...none, capabilities });
    expect(input.runtimeConfig).toEqual({ portMappings: [{ hostPort: 80 }] });
  });

  it("carries the result of the plugin before", () => {
    const prevResult = { ips: [] };
    expect(pluginInput(parse(list), { type: "x" }, { ...none, prevResult })).toMatchObject({
      prevResult,
    });
  });
});
