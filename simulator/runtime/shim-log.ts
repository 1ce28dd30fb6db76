/**
 * Reads a shim's `log` FIFO. A shim needs the reader: without one containerd-shim-runc-v2 blocks at
 * start (measured). Its last complaint is kept, because it explains a shim's death.
 */
import { createWriteStream } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Logger } from "../../common/log.ts";
import { openFifoReader } from "./fifos.ts";

export interface ShimLog {
  /** The last line that was an error, in plain words. */
  lastError(): string | undefined;
  /** The last line with which a shim gave up by itself: a panic or fatal error. */
  lastFatal(): string | undefined;
  close(): void;
}

export function openShimLog(fifo: string, log: Logger): ShimLog {
  const reader = openFifoReader(fifo);
  reader.on("error", () => undefined);
  // Beside the FIFO, for `katasim logs`: what a FIFO passes on is gone.
  const copy = createWriteStream(join(dirname(fifo), "shim.log"), { flags: "a", mode: 0o600 });
  copy.on("error", () => undefined);
  let lastError: string | undefined;
  let lastFatal: string | undefined;
  createInterface({ input: reader }).on("line", (line) => {
    log.debug({ shim: line }, "shim");
    copy.write(`${line}\n`);
    const error = errorIn(line);
    if (error === undefined) return;
    lastError = error.text;
    if (error.fatal) lastFatal = error.text;
  });
  return {
    lastError: () => lastError,
    lastFatal: () => lastFatal,
    close() {
      reader.destroy();
      copy.end();
    },
  };
}

/** logrus text or JSON of Go shims, pino JSON of ours. */
export function errorIn(
  line: string,
): { readonly text: string; readonly fatal: boolean } | undefined {
  const logrus = logrusPattern.exec(line);
  if (logrus !== null) {
    const [, level = "", message, cause] = logrus;
    const text = [message, cause].filter(Boolean).join(": ").replaceAll('\\"', '"');
    return { text, fatal: level !== "error" };
  }
  if (!line.startsWith("{")) {
    return line.startsWith("panic:") ? { text: line, fatal: true } : undefined;
  }
  try {
    const entry = JSON.parse(line) as { level?: unknown; msg?: unknown; error?: unknown };
    const severity =
      typeof entry.level === "number" ? entry.level : (levels[String(entry.level)] ?? 0);
    if (severity < 50) return undefined;
    const text = [entry.msg, entry.error].filter((part) => typeof part === "string").join(": ");
    return { text, fatal: severity >= 60 };
  } catch {
    return undefined;
  }
}

const logrusPattern =
  /level=(error|fatal|panic) msg="((?:[^"\\]|\\.)*)"(?: error="((?:[^"\\]|\\.)*)")?/;
// pino's numbers for the names that logrus' JSON uses.
const levels: Readonly<Record<string, number>> = { error: 50, fatal: 60, panic: 60 };
