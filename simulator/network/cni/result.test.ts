import { describe, expect, it } from "vitest";
import { parseResult, podAddresses } from "./result.ts";

const interfaces = [{ name: "cbr0" }, { name: "veth1" }, { name: "eth0", sandbox: "/run/netns/x" }];

describe("podAddresses", () => {
  it("are those of the pod's own interface, IPv4 first", () => {
    const ips = [
      { address: "fd00::2/64", interface: 2 },
      { address: "10.1.0.1/24", interface: 0 },
      { address: "10.1.0.2/24", interface: 2 },
    ];
    expect(podAddresses({ interfaces, ips }, "eth0")).toEqual(["10.1.0.2", "fd00::2"]);
  });

  it("are all of them when the plugin names no interface", () => {
    expect(podAddresses({ ips: [{ address: "10.1.0.2/24" }] }, "eth0")).toEqual(["10.1.0.2"]);
  });
});

describe("parseResult", () => {
  it.each(["", "null", '{"ips":7}', "ok"])("refuses %j in the plugin's name", (text) => {
    expect(() => parseResult(text, "net", "x")).toThrow(
      'plugin type="x" name="net" failed (add): its answer is no result: ',
    );
  });
});
