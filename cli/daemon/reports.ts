/** What the detached daemon tells the `up` that started it, over Node's IPC channel. */
import type { ErrorReport } from "../output/error-report.ts";
import type { Progress } from "../output/progress.ts";
import type { NodeSummary } from "../summary.ts";

export type DaemonReport =
  | { readonly type: "step"; readonly id: string; readonly text: string }
  | { readonly type: "note" | "warning"; readonly text: string }
  | { readonly type: "ready"; readonly summary: NodeSummary }
  | { readonly type: "failed"; readonly report: ErrorReport };

/** The daemon's side: sends while the parent listens, and is silent once it has gone. */
export function createReporter(): {
  readonly progress: Progress;
  send(report: DaemonReport): Promise<void>;
  /** Lets the parent go. */
  close(): void;
} {
  const send = (report: DaemonReport) =>
    new Promise<void>((resolve) => {
      if (!process.connected || process.send === undefined) resolve();
      // The callback fires with an error when the parent died: the daemon lives on.
      else process.send(report, () => resolve());
    });
  return {
    send,
    close() {
      if (process.connected) process.disconnect();
    },
    progress: {
      step: (id, text) => void send({ type: "step", id, text }),
      note: (text) => void send({ type: "note", text }),
      warn: (text) => void send({ type: "warning", text }),
      // The parent ends its own last step when it hears `ready` or `failed`.
      done: () => {},
      fail: () => {},
    },
  };
}
