/** States of a process of a task (its first one or an exec), the table of moves, refusals in words. */
import { Status } from "../../proto/containerd/gen/task_types_pb.js";
import { shimError } from "../errors.ts";

export type TaskState = "created" | "running" | "paused" | "stopped" | "deleted";

export const taskTransitions: Readonly<Record<TaskState, readonly TaskState[]>> = {
  // A task whose start failed or whose VM died goes straight to stopped.
  created: ["running", "stopped", "deleted"],
  running: ["paused", "stopped"],
  paused: ["running", "stopped"],
  stopped: ["deleted"],
  deleted: [],
};

/** What each verb needs; `delete` is also how a task that never ran is given up. */
export const verbStates = {
  start: ["created"],
  exec: ["running"],
  pause: ["running"],
  resume: ["paused"],
  delete: ["created", "stopped"],
  update: ["created", "running", "paused"],
  "resize the terminal of": ["created", "running", "paused"],
} as const satisfies Readonly<Record<string, readonly TaskState[]>>;

export type TaskVerb = keyof typeof verbStates;

const statuses: Readonly<Record<TaskState, Status>> = {
  created: Status.CREATED,
  running: Status.RUNNING,
  paused: Status.PAUSED,
  stopped: Status.STOPPED,
  deleted: Status.STOPPED,
};

export function wireStatus(state: TaskState): Status {
  return statuses[state];
}

/** Throws TASK_WRONG_STATE, e.g. "cannot exec in a task that is created". */
export function assertVerb(verb: TaskVerb, state: TaskState, what: string): void {
  if ((verbStates[verb] as readonly TaskState[]).includes(state)) return;
  const words = verb === "exec" ? "exec in" : verb;
  throw shimError("TASK_WRONG_STATE", `cannot ${words} ${what} that is ${state}`);
}
