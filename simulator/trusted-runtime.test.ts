import { describe, expect, it } from "vitest";
import type { HandlerStatus } from "./runtime-port.ts";
import { chooseTrusted } from "./trusted-runtime.ts";

const status = (engine: string, usable: boolean): HandlerStatus => ({
  ...{ name: "runc", engine, sandboxed: false, usable },
  reason: usable ? "It works." : `No ${engine} here.`,
});

describe("the choice of the trusted runtime", () => {
  it.each([
    ["auto", true, true, "shim", /^It works\.$/],
    ["auto", true, false, "shim", /^It works\.$/],
    ["auto", false, true, "docker", /^It works\. shim cannot serve: No shim here\.$/],
    ["auto", false, false, "none", /^shim: No shim here\. docker: No docker here\.$/],
    ["docker", true, true, "docker", /Asked for with --trusted-runtime docker\.$/],
    ["docker", true, false, "none", /^No docker here\. Asked for/],
    ["shim", false, true, "none", /^No shim here\. Asked for/],
  ] as const)("of %s, shim %s, docker %s is %s", (wanted, shim, docker, kind, reason) => {
    const choice = chooseTrusted(wanted, status("shim", shim), status("docker", docker));
    expect(choice.kind).toBe(kind);
    expect(choice.status.usable).toBe(kind !== "none");
    expect(choice.status.reason).toMatch(reason);
  });
});
