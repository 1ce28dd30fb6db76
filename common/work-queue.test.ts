import { describe, expect, it } from "vitest";
import { createManualClock, settle } from "../test/fakes/manual-clock.ts";
import { createWorkQueue } from "./work-queue.ts";

function setUp(process: (key: string) => Promise<number | undefined>) {
  const clock = createManualClock();
  const errors: unknown[] = [];
  const queue = createWorkQueue({
    clock,
    process,
    onError: (_key, error) => {
      errors.push(error);
      return 1_000;
    },
  });
  return { clock, queue, errors };
}

describe("work queue", () => {
  it("runs a key once however often it was added", async () => {
    const runs: string[] = [];
    const { queue } = setUp(async (key) => {
      runs.push(key);
      return undefined;
    });
    queue.add("a");
    queue.add("b");
    await queue.idle();
    expect(runs).toEqual(["a", "b"]);
  });

  it("never runs one key twice at a time and runs it again when it was added meanwhile", async () => {
    let active = 0;
    let most = 0;
    let runs = 0;
    const { queue } = setUp(async () => {
      active++;
      most = Math.max(most, active);
      runs++;
      await settle(1);
      active--;
      return undefined;
    });
    queue.add("a");
    await settle(0);
    await Promise.resolve();
    queue.add("a");
    queue.add("a");
    await settle(8);
    expect(most).toBe(1);
    expect(runs).toBe(2);
  });

  it("does not let a stuck key hold up another", async () => {
    const done: string[] = [];
    const { queue } = setUp((key) => {
      if (key === "stuck") return new Promise(() => {});
      done.push(key);
      return Promise.resolve(undefined);
    });
    queue.add("stuck");
    queue.add("quick");
    await settle();
    expect(done).toEqual(["quick"]);
  });

  it("runs a failed key again after the delay onError gives", async () => {
    let runs = 0;
    const { queue, clock, errors } = setUp(async () => {
      runs++;
      if (runs === 1) throw new Error("no");
      return undefined;
    });
    queue.add("a");
    await settle();
    expect(runs).toBe(1);
    await clock.advance(1_000);
    expect(runs).toBe(2);
    expect(errors).toHaveLength(1);
  });

  it("keeps the earliest of several delays", async () => {
    let runs = 0;
    const { queue, clock } = setUp(async () => {
      runs++;
      return undefined;
    });
    queue.addAfter("a", 5_000);
    queue.addAfter("a", 1_000);
    queue.addAfter("a", 9_000);
    await clock.advance(1_000);
    expect(runs).toBe(1);
    await clock.advance(20_000);
    expect(runs).toBe(1);
  });

  it("starts nothing after close and waits for what runs", async () => {
    const log: string[] = [];
    const { queue } = setUp(async (key) => {
      await settle(2);
      log.push(key);
      return 1;
    });
    queue.add("a");
    await Promise.resolve();
    await queue.close();
    queue.add("b");
    await settle();
    expect(log).toEqual(["a"]);
  });
});
