import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { createTaskProcess, type TaskProcess } from "./task-process.ts";
import { createTasks, type Tasks } from "./tasks.ts";

describe("tasks", () => {
  let topics: string[];
  let tasks: Tasks;
  let first: TaskProcess;

  beforeEach(() => {
    vi.useFakeTimers();
    topics = [];
    tasks = createTasks({
      publisher: {
        publish: (topic) => void topics.push(topic),
        flush: async () => {},
        close() {},
      },
      log: silentLogger,
      pid: () => 1,
      vmMemoryMib: () => 2048,
    });
    first = createTaskProcess("", { stdin: "", stdout: "", stderr: "", terminal: false });
    first.move("running");
    const container = {
      start: never,
      exec: never,
      signal: never,
      collect: async () => {},
      remove: never,
    };
    tasks.add({
      ...{ id: "c", bundle: "/nowhere", kind: "container", first, container },
      ...{ execs: new Map(), execSpecs: new Map() },
    });
  });
  afterEach(() => void vi.useRealTimers());

  it("takes a guest's first word on a process's end, however often it repeats it", async () => {
    // Output nobody reads: the end is not told before the patience is over.
    first.stdio = {
      ...{ fields: [], drained: never(), lastProgressMs: () => 0 },
      ...{ closeStdin() {}, close() {}, abandon() {} },
    };
    for (let exitCode = 3; exitCode < 1_000; exitCode += 1) {
      tasks.guestExited({ id: "c", execId: "", exitCode, outOfMemory: undefined });
    }
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(first.exit?.exitStatus).toBe(3);
    expect(topics).toEqual(["/tasks/exit"]);
  });

  it("tells of lack of memory once a second at most", async () => {
    for (let n = 0; n < 1_000; n += 1) tasks.guestOom("c", "container");
    tasks.guestOom("not ours", "guest");
    expect(topics).toEqual(["/tasks/oom"]);
    await vi.advanceTimersByTimeAsync(1_000);
    tasks.guestOom("c", "container");
    expect(topics).toEqual(["/tasks/oom", "/tasks/oom"]);
  });
});

const never = () => new Promise<void>(() => {});
