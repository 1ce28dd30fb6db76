import { describe, expect, it } from "vitest";
import { createManualClock, settle } from "../test/fakes/manual-clock.ts";
import { createFairGate } from "./fair-gate.ts";

function scene(places: number) {
  const clock = createManualClock(1000);
  const gate = createFairGate(places, clock);
  const order: string[] = [];
  const leaves = new Map<string, () => void>();
  const aborts = new Map<string, AbortController>();
  const come = (name: string) => {
    const abort = new AbortController();
    aborts.set(name, abort);
    const waiter = gate.enter(abort.signal);
    waiter.entered.then(
      ({ leave }) => {
        order.push(name);
        leaves.set(name, leave);
      },
      (error: Error) => order.push(`${name}: ${error.message}`),
    );
    return waiter;
  };
  return { clock, gate, order, come, leave: (name: string) => leaves.get(name)?.(), aborts };
}

describe("a fair gate", () => {
  it("lets so many in, and the others in the order they came", async () => {
    const { gate, order, come, leave } = scene(2);
    for (const name of ["a", "b", "c", "d"]) come(name);
    await settle(1);
    expect(order).toEqual(["a", "b"]);
    leave("b");
    come("e");
    await settle(1);
    expect(order).toEqual(["a", "b", "c"]);
    leave("a");
    leave("c");
    await settle(1);
    expect(order).toEqual(["a", "b", "c", "d", "e"]);
    expect(gate.state()).toEqual({ places: 2, inside: 2, waiting: 0 });
  });

  it("counts a place that is left twice once", async () => {
    const { gate, come, leave } = scene(1);
    come("a");
    come("b");
    come("c");
    await settle(1);
    leave("a");
    leave("a");
    await settle(1);
    expect(gate.state()).toMatchObject({ inside: 1, waiting: 1 });
  });

  it("closes up when one in the line goes, and tells it why", async () => {
    const { gate, order, come, leave, aborts } = scene(1);
    come("a");
    const b = come("b");
    const c = come("c");
    expect([b.before(), c.before()]).toEqual([0, 1]);
    aborts.get("b")?.abort(new Error("deleted"));
    await settle(1);
    expect(order).toEqual(["a", "b: deleted"]);
    expect(c.before()).toBe(0);
    leave("a");
    await settle(1);
    expect(order.at(-1)).toBe("c");
    expect(gate.state()).toEqual({ places: 1, inside: 1, waiting: 0 });
  });

  it("never gives a place to one that had gone before it came, nor takes one back from inside", async () => {
    const { gate, order, come, aborts } = scene(1);
    const gone = gate.enter(AbortSignal.abort(new Error("gone")));
    await expect(gone.entered).rejects.toThrow("gone");
    come("a");
    await settle(1);
    aborts.get("a")?.abort(new Error("late"));
    await settle(1);
    expect(order).toEqual(["a"]);
    expect(gate.state()).toEqual({ places: 1, inside: 1, waiting: 0 });
  });

  it("tells since when the first of the line waits", async () => {
    const { clock, gate, come, leave } = scene(1);
    come("a");
    await clock.advance(500);
    come("b");
    await clock.advance(500);
    come("c");
    expect(gate.state()).toEqual({ places: 1, inside: 1, waiting: 2, oldestSinceMs: 1500 });
    leave("a");
    expect(gate.state()).toMatchObject({ waiting: 1, oldestSinceMs: 2000 });
  });
});
