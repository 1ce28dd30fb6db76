import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createActivity } from "./activity.ts";

const quietMs = 100;

describe("work that waits for quiet", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("begins once, when nothing has happened for long enough", () => {
    const work = vi.fn();
    const quiet = createActivity().whenQuiet(quietMs, work);
    quiet.touch();
    vi.advanceTimersByTime(quietMs - 1);
    quiet.touch();
    vi.advanceTimersByTime(quietMs - 1);
    expect(work).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(work).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(10 * quietMs);
    expect(work).toHaveBeenCalledOnce();
  });

  it("waits for the end of what is under way, however long that takes", async () => {
    const activity = createActivity();
    const work = vi.fn();
    const quiet = activity.whenQuiet(quietMs, work);
    const failing = activity.during(async () => {
      quiet.touch();
      await activity.during(async () => {});
      vi.advanceTimersByTime(10 * quietMs);
      expect(work).not.toHaveBeenCalled();
      throw new Error("it failed");
    });
    await expect(failing).rejects.toThrow("it failed");
    vi.advanceTimersByTime(quietMs);
    expect(work).toHaveBeenCalledOnce();
  });

  it("is put off by what begins meanwhile", async () => {
    const activity = createActivity();
    const work = vi.fn();
    activity.whenQuiet(quietMs, work).touch();
    vi.advanceTimersByTime(quietMs - 1);
    await activity.during(async () => void vi.advanceTimersByTime(quietMs));
    expect(work).not.toHaveBeenCalled();
    vi.advanceTimersByTime(quietMs);
    expect(work).toHaveBeenCalledOnce();
  });

  it("never begins after close", async () => {
    const activity = createActivity();
    const work = vi.fn();
    const quiet = activity.whenQuiet(quietMs, work);
    quiet.touch();
    quiet.close();
    quiet.touch();
    await activity.during(async () => {});
    vi.advanceTimersByTime(10 * quietMs);
    expect(work).not.toHaveBeenCalled();
  });
});
