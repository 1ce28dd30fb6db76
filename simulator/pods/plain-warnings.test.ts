import { describe, expect, it } from "vitest";
import { notSimulated } from "./plain-warnings.ts";

const containers = [{ name: "c", ports: [{ containerPort: 80, hostPort: 80 }] }];

describe("notSimulated", () => {
  it("tells of a hostPort that the network does not open", () => {
    expect(notSimulated({ containers }, { hostPorts: false })).toEqual([
      "hostPort of container c is not opened: use kubectl port-forward",
    ]);
  });

  it("says nothing where the port is open: by the network, or on the node's own", () => {
    expect(notSimulated({ containers }, { hostPorts: true })).toEqual([]);
    expect(notSimulated({ containers, hostNetwork: true }, { hostPorts: false })).toEqual([]);
  });
});
