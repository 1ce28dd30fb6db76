/**
 * A long-lived child: its exit is a promise, its last words are kept to explain a failure, and
 * killing it twice is harmless.
 */
import { spawn } from "node:child_process";
import { tailBuffer } from "./tail-buffer.ts";

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ManagedProcess {
  readonly pid: number;
  /** Resolves once it has ended and its output is read. */
  readonly exited: Promise<ProcessExit>;
  /** The end of what it wrote to standard error. */
  stderrTail(): string;
  kill(signal: NodeJS.Signals): void;
}

export interface ManagedProcessOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  onStdout?(chunk: Buffer): void;
}

// Enough for any hypervisor's error and for a kernel's panic text.
const tailBytes = 16 << 10;

/** Rejects with the error of spawn(2), e.g. ENOENT. */
export function startProcess(
  file: string,
  args: readonly string[],
  options: ManagedProcessOptions = {},
): Promise<ManagedProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ["ignore", "pipe", "pipe"],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    const tail = tailBuffer(tailBytes);
    child.stderr.on("data", (chunk: Buffer) => tail.push(chunk));
    child.stdout.on("data", (chunk: Buffer) => options.onStdout?.(chunk));
    const exited = new Promise<ProcessExit>((done) => {
      child.once("close", (code, signal) => done({ code, signal }));
    });
    child.once("error", reject);
    child.once("spawn", () => {
      child.off("error", reject);
      child.on("error", () => {});
      resolve({
        pid: child.pid as number,
        exited,
        stderrTail: () => tail.text().trim(),
        kill: (signal) => void child.kill(signal),
      });
    });
  });
}
