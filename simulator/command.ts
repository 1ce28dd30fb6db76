/**
 * Runs the short-lived programs the node needs (ip, skopeo, umoci, mkfs.erofs, mount) and turns their
 * failure into words. Long-lived processes have owners of their own.
 */
import { execa } from "execa";

export interface CommandOptions {
  readonly input?: string | Uint8Array;
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

export interface CommandResult {
  readonly ok: boolean;
  readonly stdout: string;
  /** What the program said on standard error, or why it could not run; one trimmed text. */
  readonly stderr: string;
  readonly missing: boolean;
  readonly timedOut: boolean;
  readonly exitCode: number | undefined;
}

// Far above what these programs need; a hang is then an error instead of a stuck pod.
const defaultTimeoutMs = 30_000;

/** Never rejects: a failed program is an answer, and the caller knows which sentence it deserves. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await execa(file, args, {
    reject: false,
    stripFinalNewline: true,
    timeout: options.timeoutMs ?? defaultTimeoutMs,
    // A program that ignores SIGTERM must not outlive its caller.
    forceKillAfterDelay: 2_000,
    ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  const missing = result.code === "ENOENT" && result.exitCode === undefined;
  const said = String(result.stderr ?? "").trim();
  return {
    ok: !result.failed,
    stdout: String(result.stdout ?? ""),
    stderr: missing
      ? `${file} is not installed`
      : said !== ""
        ? said
        : result.failed
          ? (result.shortMessage ?? `${file} failed`)
          : "",
    missing,
    timedOut: result.timedOut === true,
    exitCode: result.exitCode,
  };
}
