/** SIGINT, SIGTERM and SIGHUP as an AbortSignal; the second one forces. */
import { constants } from "node:os";
import { cliError } from "./errors.ts";

export interface Interrupts {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal;
  /** Aborts at the second. */
  readonly force: AbortSignal;
  /** 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP; undefined while none came. */
  exitCode(): number | undefined;
  /** Node's own handling comes back. */
  dispose(): void;
}

const watched = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export function interruptSignal(): Interrupts {
  const first = new AbortController();
  const second = new AbortController();
  let exitCode: number | undefined;
  const onSignal = (name: NodeJS.Signals) => {
    if (first.signal.aborted) {
      second.abort(cliError("INTERRUPTED", "interrupted twice"));
      return;
    }
    exitCode = 128 + constants.signals[name];
    first.abort(cliError("INTERRUPTED", `interrupted by ${name}`));
  };
  for (const name of watched) process.on(name, onSignal);
  return {
    signal: first.signal,
    force: second.signal,
    exitCode: () => exitCode,
    dispose() {
      for (const name of watched) process.off(name, onSignal);
    },
  };
}
