/** The life of a VMM process as a table of legal moves. */

export type VmmState = "starting" | "running" | "stopping" | "gone";

export const vmmTransitions: Readonly<Record<VmmState, readonly VmmState[]>> = {
  starting: ["running", "stopping", "gone"],
  running: ["stopping", "gone"],
  stopping: ["gone"],
  gone: [],
};

export interface VmmStateHolder {
  readonly current: VmmState;
  /** Answers false, and changes nothing, when the table does not allow the move. */
  move(next: VmmState): boolean;
}

export function createVmmState(): VmmStateHolder {
  let current: VmmState = "starting";
  return {
    get current() {
      return current;
    },
    move(next) {
      if (!vmmTransitions[current].includes(next)) return false;
      current = next;
      return true;
    },
  };
}
