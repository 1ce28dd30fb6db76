import { describe, expect, it } from "vitest";
import { endReason } from "./vmm-process.ts";

const child = { pid: 123, stderrTail: () => "qemu: first\nqemu: cannot allocate memory" };
const quiet = { text: () => "" };

describe("the reason of a VMM's end", () => {
  it("names the signal", () => {
    expect(endReason("qemu-system-x86_64", child, { code: null, signal: "SIGKILL" }, quiet)).toBe(
      "the virtual machine monitor (qemu-system-x86_64, pid 123) was killed by SIGKILL",
    );
  });

  it("quotes what it said", () => {
    expect(endReason("qemu-system-x86_64", child, { code: 1, signal: null }, quiet)).toContain(
      "cannot allocate memory",
    );
  });

  it("tells a guest's panic from a power-off", () => {
    const panic = {
      text: () => "x\n[ 1.0] Kernel panic - not syncing: Attempted to kill init!\ny",
    };
    expect(endReason("qemu-system-x86_64", child, { code: 0, signal: null }, panic)).toBe(
      "the guest's kernel stopped: Kernel panic - not syncing: Attempted to kill init!",
    );
    expect(endReason("qemu-system-x86_64", child, { code: 0, signal: null }, quiet)).toBe(
      "the guest powered off",
    );
  });
});
