import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createManualClock } from "../test/fakes/manual-clock.ts";
import { createBackoff } from "./backoff.ts";

const setUp = () => {
  const clock = createManualClock();
  return { clock, backoff: createBackoff({ initialMs: 10_000, maxMs: 300_000, clock }) };
};

describe("backoff", () => {
  it("has no delay for a key it never saw", () => {
    const { backoff, clock } = setUp();
    expect(backoff.remainingMs("a", clock.nowMs())).toBe(0);
    expect(backoff.delayMs("a")).toBe(0);
  });

  it("doubles from 10 s up to 300 s", () => {
    const { backoff, clock } = setUp();
    const delays = Array.from({ length: 7 }, () => {
      backoff.next("a", clock.nowMs());
      return backoff.delayMs("a") / 1000;
    });
    expect(delays).toEqual([10, 20, 40, 80, 160, 300, 300]);
  });

  it("counts the wait from the event", async () => {
    const { backoff, clock } = setUp();
    const exitedAtMs = clock.nowMs();
    backoff.next("a", exitedAtMs);
    await clock.advance(4_000);
    expect(backoff.remainingMs("a", exitedAtMs)).toBe(6_000);
    await clock.advance(6_000);
    expect(backoff.remainingMs("a", exitedAtMs)).toBe(0);
  });

  it("begins anew after ten minutes of peace", async () => {
    const { backoff, clock } = setUp();
    for (let step = 0; step < 4; step++) backoff.next("a", clock.nowMs());
    await clock.advance(600_001);
    expect(backoff.remainingMs("a", clock.nowMs())).toBe(0);
    backoff.next("a", clock.nowMs());
    expect(backoff.delayMs("a")).toBe(10_000);
  });

  it("keeps keys apart and never waits longer than the maximum", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 40 }), (keys) => {
        const { backoff, clock } = setUp();
        const counts = new Map<string, number>();
        for (const key of keys) {
          backoff.next(key, clock.nowMs());
          counts.set(key, (counts.get(key) ?? 0) + 1);
        }
        for (const [key, count] of counts) {
          expect(backoff.remainingSinceUpdateMs(key)).toBe(
            Math.min(10_000 * 2 ** (count - 1), 300_000),
          );
        }
      }),
    );
  });
});
