/** Runs short-lived programs. Uses node:child_process alone: the shim must start fast. */
import { execFile } from "node:child_process";

export interface ProgramOutcome {
  readonly ok: boolean;
  /** Absent when it did not run or was killed. */
  readonly exitCode?: number;
  readonly stdout: string;
  /** What it said on standard error, or why it could not run; one trimmed text. */
  readonly stderr: string;
  /** The program is not installed. */
  readonly missing: boolean;
}

/** PATH with the folders of system programs (ip, tc, mkfs), which not every user and service has. */
export function programPath(): string {
  return [process.env.PATH ?? "/usr/bin:/bin", "/usr/sbin", "/sbin"].join(":");
}

/** Never rejects: a failed program is an answer, and the caller knows which sentence it deserves. */
export function runProgram(
  file: string,
  args: readonly string[],
  options: { readonly timeoutMs?: number; readonly input?: string } = {},
): Promise<ProgramOutcome> {
  // Far above what these programs need; a hang is then an error.
  const timeout = options.timeoutMs ?? 30_000;
  return new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      {
        env: { ...process.env, PATH: programPath(), LC_ALL: "C" },
        timeout,
        killSignal: "SIGKILL",
        maxBuffer: 16 << 20,
        encoding: "utf8",
      },
      (error, stdout, stderr) => {
        const missing = error !== null && "code" in error && error.code === "ENOENT";
        const why = missing ? `${file} is not installed` : (error?.message ?? "");
        const code = error === null ? 0 : error.code;
        resolve({
          ok: error === null,
          ...(typeof code === "number" ? { exitCode: code } : {}),
          stdout,
          stderr: stderr.trim() || why,
          missing,
        });
      },
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.input ?? "");
  });
}
