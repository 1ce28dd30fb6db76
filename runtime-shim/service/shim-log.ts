/** The shim's log: JSON lines into a file, or into the `log` FIFO that containerd reads. */
import { constants, existsSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { createLogger, type Logger, silentLogger } from "../../common/log.ts";

const levels = ["debug", "info", "warn", "error"] as const;

export function createShimLog(options: {
  readonly bundle: string;
  readonly debug: boolean;
  /** As the caller wrote it; anything unknown counts as "info". */
  readonly logLevel?: string;
  readonly logFile?: string;
}): Logger {
  const { bundle, debug, logFile } = options;
  const given = levels.find((level) => level === options.logLevel);
  const level = debug ? "debug" : (given ?? "info");
  try {
    if (logFile !== undefined) return createLogger({ level, file: logFile });
    const fifo = join(bundle, "log");
    if (!existsSync(fifo)) return silentLogger;
    // Opened for both ways, so that neither the open nor a reader's absence ever blocks or fails.
    const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    return pino({ level, base: {} }, { write: (line) => writeWhatFits(fd, line) });
  } catch {
    // A log that cannot be opened must not keep a pod from starting.
    return silentLogger;
  }
}

/** A full pipe means that nobody reads: the line is dropped rather than the shim held up. */
function writeWhatFits(fd: number, line: string): void {
  try {
    writeSync(fd, line);
  } catch {}
}
