/** What a person reads when a command fails, and the exit code that goes with it. */
import { isSimError, messageOf, type SimError } from "../../common/errors.ts";
import { cliError } from "../errors.ts";

export interface ErrorReport {
  readonly message: string;
  /** Messages of the causes, outermost first, without repetitions. */
  readonly why: readonly string[];
  readonly hint: string | undefined;
  readonly code: string;
  readonly exitCode: number;
  readonly log: string | undefined;
  readonly stack: string | undefined;
}

/** A report made in another process (the daemon): passed on as it is. */
export class ReportedError extends Error {
  readonly report: ErrorReport;

  constructor(report: ErrorReport) {
    super(report.message);
    this.report = report;
  }
}

/** A bug in katasim: everything that no layer turned into a SimError. */
const bugExitCode = 70;
/** Five causes tell the story; a cycle must not hang the report. */
const maxCauses = 5;

export function reportFromError(thrown: unknown, logPath?: string): ErrorReport {
  if (thrown instanceof ReportedError) return thrown.report;
  const error = machineErrorFrom(thrown) ?? thrown;
  const known: SimError | undefined = isSimError(error) ? error : undefined;
  const message = messageOf(error);
  const why: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && depth < maxCauses; depth += 1) {
    const text = messageOf(cause);
    if (text !== "" && !message.includes(text) && !why.some((seen) => seen.includes(text))) {
      why.push(text);
    }
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  const detail = known?.details?.log;
  return {
    message,
    why,
    hint:
      known?.hint ??
      (known === undefined
        ? "this is a bug in katasim: please report it with the output of -vv"
        : undefined),
    code: known?.code ?? "INTERNAL",
    exitCode: known?.exitCode ?? bugExitCode,
    log: typeof detail === "string" ? detail : logPath,
    stack: error instanceof Error ? stackWithCauses(error) : undefined,
  };
}

const writableHint = "use a folder that can be written: --home <dir>";

/** What the file system answers when the machine's owner, not katasim, must act. */
const machineAnswers: Readonly<Record<string, { what: string; hint: string }>> = {
  ENOSPC: { what: "the disk is full", hint: "free some space, or use another disk: --home <dir>" },
  EDQUOT: {
    what: "the disk quota is used up",
    hint: "free some space: katasim doctor shows where",
  },
  EROFS: { what: "a read-only file system is in the way", hint: writableHint },
  EACCES: { what: "access is denied", hint: writableHint },
  ENOTDIR: { what: "a file is where a folder must be", hint: writableHint },
};

function machineErrorFrom(error: unknown): SimError | undefined {
  if (!(error instanceof Error) || isSimError(error)) return undefined;
  const { code = "", syscall, path } = error as NodeJS.ErrnoException;
  // Node answers ENOENT for a recursive mkdir on a read-only file system.
  const answer = machineAnswers[code === "ENOENT" && syscall === "mkdir" ? "EROFS" : code];
  if (answer === undefined || syscall === undefined) return undefined;
  const message = path === undefined ? answer.what : `cannot write ${path}: ${answer.what}`;
  return cliError("MACHINE_LACKS", message, { cause: error, hint: answer.hint });
}

function stackWithCauses(error: Error, depth = 0): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error && depth < maxCauses
    ? `${own}\ncaused by: ${stackWithCauses(error.cause, depth + 1)}`
    : own;
}

export interface ErrorReportOptions {
  /** Stack too (`-vv`). */
  readonly stack?: boolean;
  readonly red?: (text: string) => string;
}

export function formatErrorReport(report: ErrorReport, options: ErrorReportOptions = {}): string {
  const red = options.red ?? ((text: string) => text);
  const lines = [`${red("error:")} ${report.message}`];
  for (const why of report.why) lines.push(`  why: ${why}`);
  if (report.hint !== undefined) lines.push(`  try: ${report.hint}`);
  lines.push(`  code: ${report.code}`);
  if (report.log !== undefined) lines.push(`  log: ${report.log}`);
  if (options.stack && report.stack !== undefined) lines.push(report.stack);
  return `${lines.join("\n")}\n`;
}

/** The same for `-o json`, one line on stderr. */
export function errorReportJson(report: ErrorReport): string {
  const { message, why, hint, code, exitCode, log } = report;
  return `${JSON.stringify({ error: { message, why, hint, code, exitCode, log } })}\n`;
}
