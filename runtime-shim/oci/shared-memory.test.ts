import { describe, expect, it } from "vitest";
import { sharedMemoryBytes } from "./shared-memory.ts";
import { SpecSchema } from "./spec.ts";

const withMount = (mount: object) =>
  sharedMemoryBytes(SpecSchema.parse({ mounts: [{ destination: "/dev/shm", ...mount }] }));

describe("sharedMemoryBytes", () => {
  it("reads the size of a mount of the spec's own", () => {
    expect(withMount({ type: "tmpfs", options: ["mode=1777", "size=65536k"] })).toBe(64 << 20);
    expect(withMount({ type: "tmpfs", options: ["size=1G"] })).toBe(2 ** 30);
    expect(withMount({ type: "tmpfs", options: ["size=4096"] })).toBe(4096);
  });

  it("asks the host's tmpfs behind a bind, and no other file system", () => {
    expect(withMount({ type: "bind", source: "/dev/shm" })).toBeGreaterThan(0);
    expect(withMount({ type: "bind", source: "/proc" })).toBeUndefined();
    expect(withMount({ type: "bind", source: "/no/such/folder" })).toBeUndefined();
  });

  it("leaves the guest's default to a spec that says nothing", () => {
    expect(sharedMemoryBytes(SpecSchema.parse({}))).toBeUndefined();
    expect(withMount({ type: "tmpfs" })).toBeUndefined();
  });
});
