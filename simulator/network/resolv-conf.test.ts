import { describe, expect, it } from "vitest";
import { resolvConf } from "./resolv-conf.ts";

describe("resolvConf", () => {
  it("writes search, nameservers and options in containerd's order", () => {
    expect(
      resolvConf({
        servers: ["10.0.0.10", "1.1.1.1"],
        searches: ["a.svc", "b"],
        options: ["ndots:5"],
      }),
    ).toBe("search a.svc b\nnameserver 10.0.0.10\nnameserver 1.1.1.1\noptions ndots:5\n");
  });

  it("is empty without servers", () => {
    expect(resolvConf({ servers: [], searches: [], options: [] })).toBe("");
  });
});
