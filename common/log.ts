/** Logging: pino everywhere, one root logger made in `cli/`, children passed down as arguments. */
import { type Logger as PinoLogger, pino } from "pino";

export type Logger = PinoLogger;

export interface LogOptions {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** Where JSON lines go; standard error when absent. Opened for appending. */
  readonly file?: string;
}

/** No worker transports: the bundled shim has no files for them to load. */
export function createLogger(options: LogOptions): Logger {
  const destination =
    options.file === undefined
      ? pino.destination({ fd: 2, sync: true })
      : pino.destination({ dest: options.file, append: true, sync: true, mode: 0o600 });
  return pino(
    { level: options.level, base: {}, timestamp: pino.stdTimeFunctions.isoTime },
    destination,
  );
}

export const silentLogger: Logger = pino({ level: "silent" });
