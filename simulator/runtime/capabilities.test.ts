import { describe, expect, it } from "vitest";
import { allCapabilities, capabilitySet, defaultCapabilities } from "./capabilities.ts";

const set = (add: string[], drop: string[], privileged = false) =>
  capabilitySet({ privileged, add, drop });

describe("capabilitySet", () => {
  it("is containerd's default without a change", () => {
    expect(set([], [])).toEqual(defaultCapabilities);
  });

  it("takes names with or without CAP_, in any case", () => {
    expect(set(["net_admin"], [])).toContain("CAP_NET_ADMIN");
    expect(set(["CAP_NET_ADMIN"], [])).toContain("CAP_NET_ADMIN");
    expect(set([], ["chown"])).not.toContain("CAP_CHOWN");
  });

  it("drops ALL before it adds single names", () => {
    expect(set(["NET_BIND_SERVICE"], ["ALL"])).toEqual(["CAP_NET_BIND_SERVICE"]);
  });

  it("drops single names from ALL", () => {
    const names = set(["ALL"], ["SYS_ADMIN"]);
    expect(names).toHaveLength(allCapabilities.length - 1);
    expect(names).not.toContain("CAP_SYS_ADMIN");
  });

  it("is everything for privileged containers", () => {
    expect(set([], ["ALL"], true)).toEqual(allCapabilities);
  });

  it("refuses a name that is none", () => {
    expect(() => set(["FLY"], [])).toThrow('unknown capability "CAP_FLY"');
  });

  it("numbers capabilities as linux/capability.h", () => {
    expect(allCapabilities.indexOf("CAP_SYS_ADMIN")).toBe(21);
    expect(allCapabilities.indexOf("CAP_CHECKPOINT_RESTORE")).toBe(40);
  });
});
