import { describe, expect, it } from "vitest";
import { parseRange } from "./address-range.ts";
import { chooseRange } from "./pod-cidr.ts";

const choose = (routes: readonly string[], change: { remembered?: string; wanted?: string } = {}) =>
  chooseRange({
    remembered: change.remembered,
    wanted: change.wanted,
    routes: routes.map((dst) => ({ dst, dev: "d0" })),
  });

describe("parseRange", () => {
  it("knows the gateway, the last pod and the host's address", () => {
    expect(parseRange("10.1.2.77/24")).toMatchObject({
      cidr: "10.1.2.0/24",
      gateway: "10.1.2.1",
      lastPod: "10.1.2.253",
      host: "10.1.2.254",
    });
  });

  it.each(["10.1.0.0", "10.1.0.0/30", "10.1.0.0/7", "10.1.0/24", "10.1.0.0/x", "fd00::/64"])(
    "refuses %s",
    (cidr) => {
      expect(() => parseRange(cidr)).toThrow(`"${cidr}" is no IPv4 range for pods`);
    },
  );
});

describe("chooseRange", () => {
  it("takes the first range that no route knows; a default route counts for nothing", () => {
    expect(choose(["default", "192.0.2.0/24"]).range.cidr).toBe("10.244.0.0/24");
    expect(choose(["10.244.0.0/24", "10.244.1.7"]).range.cidr).toBe("10.244.2.0/24");
    expect(choose(["10.244.0.0/22"]).range.cidr).toBe("10.244.4.0/24");
  });

  it("says which route stands in the way where none is free", () => {
    expect(choose(["10.0.0.0/8"])).toMatchObject({
      range: { cidr: "10.244.0.0/24" },
      conflict: { dst: "10.0.0.0/8", dev: "d0" },
    });
  });

  it("takes the range that was asked for, or names the route that has it", () => {
    expect(choose(["10.244.0.0/24"], { wanted: "10.9.0.0/16" }).range.cidr).toBe("10.9.0.0/16");
    expect(() => choose(["10.9.3.0/24"], { wanted: "10.9.0.0/16" })).toThrow(
      "the pod range 10.9.0.0/16 overlaps the machine's route 10.9.3.0/24 dev d0",
    );
  });

  it("stays with the range that the Node object names", () => {
    const remembered = "10.244.3.0/24";
    expect(choose([], { remembered })).toMatchObject({ range: { cidr: remembered } });
    expect(choose([remembered], { remembered }).conflict).toMatchObject({ dst: remembered });
    expect(() => choose([], { remembered, wanted: "10.9.0.0/16" })).toThrow("cannot change");
    expect(choose([], { remembered, wanted: "10.244.3.1/24" }).range.cidr).toBe(remembered);
  });
});
