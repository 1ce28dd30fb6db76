/**
 * Starts the daemon in a session of its own and waits for its word, never for a time: it reports steps,
 * then `ready` or `failed`; if it dies silently, its log tells why.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, open, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Paths } from "../../common/paths.ts";
import { cliError } from "../errors.ts";
import { ReportedError } from "../output/error-report.ts";
import type { Progress } from "../output/progress.ts";
import type { NodeSummary } from "../summary.ts";
import type { DaemonReport } from "./reports.ts";

export interface DetachOptions {
  /** Program and arguments after `node`. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly paths: Paths;
  readonly progress: Progress;
  /** Stops the daemon and rejects when it aborts. */
  readonly signal: AbortSignal;
}

/** Where the daemon logs; rotated by nobody, so it logs events, not traffic. */
export function daemonLogFile(paths: Paths): string {
  return join(paths.logs, "katasim.log");
}

export async function startDetached(options: DetachOptions): Promise<NodeSummary> {
  const logFile = daemonLogFile(options.paths);
  await mkdir(dirname(logFile), { recursive: true, mode: 0o700 });
  const log = await open(logFile, "a", 0o600);
  let child: ChildProcess;
  let logStart: number;
  try {
    logStart = (await stat(logFile)).size;
    child = spawn(process.execPath, ["--no-warnings", ...options.argv], {
      // The caller's folder may be removed or unmounted while the daemon lives.
      cwd: options.paths.state,
      env: options.env,
      detached: true,
      // Appending, so that the daemon's own log lines and a crash of Node end up in one file.
      stdio: ["ignore", log.fd, log.fd, "ipc"],
    });
  } finally {
    await log.close();
  }
  try {
    return await firstWord(child, options, logFile, logStart);
  } finally {
    if (child.connected) child.disconnect();
    child.unref();
  }
}

function firstWord(
  child: ChildProcess,
  options: DetachOptions,
  logFile: string,
  logStart: number,
): Promise<NodeSummary> {
  const { progress, signal } = options;
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      child.kill("SIGTERM");
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const settle = (act: () => void) => {
      signal.removeEventListener("abort", onAbort);
      act();
    };
    child.on("message", (message) => {
      const report = message as DaemonReport;
      if (report.type === "step") progress.step(report.id, report.text);
      if (report.type === "note") progress.note(report.text);
      if (report.type === "warning") progress.warn(report.text);
      if (report.type === "ready") settle(() => resolve(report.summary));
      if (report.type === "failed") settle(() => reject(new ReportedError(report.report)));
    });
    child.once("error", (cause) => settle(() => reject(startFailed(logFile, String(cause)))));
    child.once("exit", (code, killedBy) => {
      const how = killedBy === null ? `exit code ${code}` : `signal ${killedBy}`;
      void lastWords(logFile, logStart).then((text) =>
        settle(() => reject(startFailed(logFile, text || `it ended with ${how}`))),
      );
    });
  });
}

function startFailed(logFile: string, why: string): Error {
  return cliError("START_FAILED", "katasim ended before the node was ready", {
    cause: new Error(why),
    hint: "katasim doctor",
    details: { log: logFile },
  });
}

/** What this start wrote that is not a log line: Node's own words on a crash. */
async function lastWords(logFile: string, from: number): Promise<string> {
  const whole = await readFile(logFile).catch(() => Buffer.alloc(0));
  const text = whole.subarray(from).toString("utf8");
  const lines = text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("{"));
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? "";
}
