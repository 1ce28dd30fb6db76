/** The guest's console in a file of bounded size, and its last lines for error texts. */
import { closeSync, openSync, renameSync, writeSync } from "node:fs";
import { printable } from "../../common/printable.ts";
import { tailBuffer } from "../../common/process/tail-buffer.ts";

export interface ConsoleLog {
  write(chunk: Buffer): void;
  /** The last KiBs, without control characters: the guest must not steer a reader's terminal. */
  text(): string;
  /** The last lines of that. */
  tail(): string;
  /** Under another name of the same file system from now on. */
  moveTo(path: string): void;
  close(): void;
}

// Two files of this size at most: the log and the one before it (`.1`).
const maxFileBytes = 1 << 20;
// A panic's call trace is 3 KiB long; its first line says why.
const tailBytes = 8 << 10;
const tailLines = 12;

export function openConsoleLog(firstPath: string): ConsoleLog {
  let path = firstPath;
  let fd: number | undefined = openSync(path, "w", 0o600);
  let size = 0;
  const tail = tailBuffer(tailBytes);
  return {
    write(chunk) {
      tail.push(chunk);
      if (fd === undefined) return;
      try {
        if (size + chunk.length > maxFileBytes) {
          // Forgotten at once: if what follows fails, the number is soon another file's.
          const full = fd;
          fd = undefined;
          closeSync(full);
          renameSync(path, `${path}.1`);
          fd = openSync(path, "w", 0o600);
          size = 0;
        }
        size += writeSync(fd, chunk);
      } catch {
        // A full disk must not take the VM down; the tail in memory goes on.
      }
    },
    text: () => printable(tail.text()),
    tail: () =>
      printable(tail.text())
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "")
        .slice(-tailLines)
        .join("\n"),
    moveTo(other) {
      renameSync(path, other);
      path = other;
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
