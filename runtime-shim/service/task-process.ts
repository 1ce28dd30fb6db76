/** One process containerd knows of: a task's first one or an exec. Its end is a promise. */
import type { ProcessStdio, StdioPaths } from "../guest-client/stdio.ts";
import { type TaskState, taskTransitions } from "./task-state.ts";

export interface ProcessExitStatus {
  readonly exitStatus: number;
  readonly exitedAtMs: number;
}

export interface TaskProcess {
  /** Empty for the first process. */
  readonly execId: string;
  readonly paths: StdioPaths;
  readonly state: TaskState;
  /** Joined to the guest once the process was made there. */
  stdio: ProcessStdio | undefined;
  /** Resolves when it ended, whenever it is asked. */
  readonly exited: Promise<ProcessExitStatus>;
  readonly exit: ProcessExitStatus | undefined;
  /** While a start is under way: no exit event may go before its start event. */
  readonly starting: Promise<void> | undefined;
  beginStart(): void;
  /** The start was answered and published, well or badly. */
  settleStart(): void;
  /** Throws a bug when the table does not allow it; callers check with `assertVerb` first. */
  move(next: TaskState): void;
  /** The first end counts: answers whether this was it. */
  end(exitStatus: number): boolean;
}

export function createTaskProcess(execId: string, paths: StdioPaths): TaskProcess {
  let state: TaskState = "created";
  let exit: ProcessExitStatus | undefined;
  let tellExit: (exit: ProcessExitStatus) => void = () => {};
  let starting: Promise<void> | undefined;
  let settleStart: () => void = () => {};
  const exited = new Promise<ProcessExitStatus>((resolve) => {
    tellExit = resolve;
  });
  const move = (next: TaskState) => {
    if (!taskTransitions[state].includes(next)) {
      throw new Error(`a process cannot go from ${state} to ${next}`);
    }
    state = next;
  };
  return {
    execId,
    paths,
    get state() {
      return state;
    },
    stdio: undefined,
    exited,
    get exit() {
      return exit;
    },
    get starting() {
      return starting;
    },
    beginStart() {
      starting = new Promise((resolve) => {
        settleStart = resolve;
      });
    },
    settleStart: () => settleStart(),
    move,
    end(exitStatus) {
      if (state === "stopped" || state === "deleted") return false;
      move("stopped");
      exit = { exitStatus, exitedAtMs: Date.now() };
      settleStart();
      tellExit(exit);
      return true;
    },
  };
}
