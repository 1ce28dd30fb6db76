/**
 * An advisory lock on a file (flock(2), by util-linux's flock: Node has none). A child holds it, so it
 * ends with this process, however this process ends.
 */
import { spawn } from "node:child_process";
import { programPath } from "./run-program.ts";

export interface FileLock {
  /** Idempotent. */
  release(): void;
}

/** Waits for it. Answers undefined when somebody else has held it all that time. Rejects without flock. */
export function holdFileLock(path: string, timeoutMs: number): Promise<FileLock | undefined> {
  return new Promise((resolve, reject) => {
    // `cat` ends when its input does: with this process.
    const child = spawn(
      "flock",
      ["--exclusive", "--wait", String(timeoutMs / 1000), path, "sh", "-c", "echo held; exec cat"],
      { stdio: ["pipe", "pipe", "ignore"], env: { PATH: programPath() } },
    );
    child.stdin.on("error", () => {});
    child.once("error", reject);
    child.once("close", () => resolve(undefined));
    child.stdout.once("data", () => resolve({ release: () => void child.stdin.end() }));
  });
}
