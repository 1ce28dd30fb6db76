import { describe, expect, it } from "vitest";
import { interruptSignal } from "./interrupts.ts";

describe("interruptSignal", () => {
  it("aborts at the first signal, forces at the second, and keeps the first one's exit code", () => {
    const interrupts = interruptSignal();
    try {
      expect(interrupts.exitCode()).toBeUndefined();
      process.emit("SIGTERM", "SIGTERM");
      expect(interrupts.signal.aborted).toBe(true);
      expect(interrupts.force.aborted).toBe(false);
      process.emit("SIGINT", "SIGINT");
      expect(interrupts.force.aborted).toBe(true);
      expect(interrupts.exitCode()).toBe(143);
    } finally {
      interrupts.dispose();
    }
    expect(process.listenerCount("SIGTERM")).toBe(0);
  });
});
