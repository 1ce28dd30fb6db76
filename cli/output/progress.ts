/**
 * Steps of a long command on stderr, after kind's `Status`: a spinner on a terminal, plain lines
 * elsewhere, JSON lines with `-o json`. Steps follow each other; they never nest.
 */
import type { Writable } from "node:stream";

export interface Progress {
  /** Ends the running step as done, if any, and begins the next. `id` is for machines. */
  step(id: string, text: string): void;
  /** Ends the running step as done. */
  done(): void;
  /** Ends the running step as failed. */
  fail(): void;
  /** A line beside the steps. */
  note(text: string): void;
  warn(text: string): void;
}

export type ProgressStyle = "spinner" | "lines" | "json" | "silent";

export interface ProgressOptions {
  readonly style: ProgressStyle;
  readonly stream: Writable;
  readonly unicode: boolean;
  readonly nowMs?: () => number;
}

const spinnerFrames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const asciiFrames = ["-", "\\", "|", "/"];
const frameMs = 100;

export function createProgress(options: ProgressOptions): Progress {
  const { style, stream, unicode } = options;
  const nowMs = options.nowMs ?? (() => performance.now());
  const marks = unicode ? { run: "•", done: "✓", fail: "✗" } : { run: "*", done: "+", fail: "x" };
  let current: { id: string; text: string; startMs: number } | undefined;
  let timer: NodeJS.Timeout | undefined;

  const write = (text: string) => stream.write(text);
  const json = (entry: object) => write(`${JSON.stringify(entry)}\n`);

  function begin(id: string, text: string): void {
    current = { id, text, startMs: nowMs() };
    if (style === "json") json({ step: id, state: "started" });
    if (style === "lines") write(` ${marks.run} ${text} …\n`.replace("…", unicode ? "…" : "..."));
    if (style === "spinner") {
      const frames = unicode ? spinnerFrames : asciiFrames;
      let frame = 0;
      const draw = () => write(`\r\x1b[K ${frames[frame++ % frames.length]} ${text}`);
      draw();
      timer = setInterval(draw, frameMs);
      // A spinner must never keep a finished process alive.
      timer.unref();
    }
  }

  function end(state: "done" | "failed"): void {
    if (current === undefined) return;
    const ms = Math.round(nowMs() - current.startMs);
    const mark = state === "done" ? marks.done : marks.fail;
    clearInterval(timer);
    if (style === "json") json({ step: current.id, state, ms });
    // In a log the start line is already there: repeat the text, so that lines stand alone.
    if (style === "lines") write(` ${mark} ${current.text} (${seconds(ms)})\n`);
    if (style === "spinner") write(`\r\x1b[K ${mark} ${current.text} (${seconds(ms)})\n`);
    current = undefined;
  }

  function line(level: "note" | "warning", text: string): void {
    if (style === "silent") return;
    if (style === "json") json({ [level]: text });
    else {
      const clear = style === "spinner" && current !== undefined ? "\r\x1b[K" : "";
      write(`${clear}${level === "warning" ? "warning: " : ""}${text}\n`);
    }
  }

  return {
    step(id, text) {
      end("done");
      begin(id, text);
    },
    done: () => end("done"),
    fail: () => end("failed"),
    note: (text) => line("note", text),
    warn: (text) => line("warning", text),
  };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
