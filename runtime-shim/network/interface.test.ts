import { describe, expect, it } from "vitest";
import { podInterface } from "./interface.ts";

const lo = {
  ifname: "lo",
  flags: ["LOOPBACK", "UP"],
  addr_info: [{ family: "inet", local: "127.0.0.1" }],
};
const eth0 = {
  ifname: "eth0",
  address: "0a:58:0a:f4:00:05",
  mtu: 1450,
  flags: ["BROADCAST", "UP"],
  addr_info: [
    { family: "inet", local: "10.244.0.5", prefixlen: 24 },
    { family: "inet6", local: "fe80::1", prefixlen: 64 },
  ],
};

describe("podInterface", () => {
  it("reads address, MAC and routes as ip prints them", () => {
    const routes = [
      { dst: "default", gateway: "10.244.0.1", dev: "eth0" },
      { dst: "10.244.0.0/24", dev: "eth0", protocol: "kernel", scope: "link" },
      { dst: "169.254.1.1", dev: "eth0", scope: "link" },
    ];
    expect(podInterface(JSON.stringify([lo, eth0]), JSON.stringify(routes))).toEqual({
      name: "eth0",
      mac: "0a:58:0a:f4:00:05",
      mtu: 1450,
      addresses: ["10.244.0.5/24"],
      routes: ["169.254.1.1/32 link", "0.0.0.0/0 via 10.244.0.1"],
    });
  });

  it("finds nothing in an empty namespace", () => {
    expect(podInterface(JSON.stringify([{ ...lo, addr_info: [{}] }]), "")).toBeUndefined();
  });
});
