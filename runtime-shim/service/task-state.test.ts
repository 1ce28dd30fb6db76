import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTaskProcess } from "./task-process.ts";
import {
  assertVerb,
  type TaskState,
  type TaskVerb,
  taskTransitions,
  verbStates,
} from "./task-state.ts";

const states = Object.keys(taskTransitions) as TaskState[];
const paths = { stdin: "", stdout: "", stderr: "", terminal: false };

describe("task states", () => {
  it.each(Object.entries(verbStates))("allow %s only where the table says", (verb, allowed) => {
    for (const state of states) {
      const attempt = () => assertVerb(verb as TaskVerb, state, "a task");
      if ((allowed as readonly string[]).includes(state)) expect(attempt).not.toThrow();
      else expect(attempt).toThrow(`a task that is ${state}`);
    }
  });

  it("refuse in words", () => {
    expect(() => assertVerb("exec", "created", "a task")).toThrow(
      "cannot exec in a task that is created",
    );
  });

  it("never leave the table on a random walk", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...states)), (walk) => {
        const process = createTaskProcess("", paths);
        for (const next of walk) {
          const before = process.state;
          try {
            process.move(next);
            expect(taskTransitions[before]).toContain(next);
          } catch {
            expect(process.state).toBe(before);
          }
        }
      }),
    );
  });

  it("keep the first end and answer waits that come later", async () => {
    const process = createTaskProcess("", paths);
    process.move("running");
    expect(process.end(7)).toBe(true);
    expect(process.end(137)).toBe(false);
    expect((await process.exited).exitStatus).toBe(7);
  });
});
