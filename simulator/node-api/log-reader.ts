/** Reads one CRI log file as the client asked for it, and follows it while the container runs. */
import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createLineSplitter, createLogFormatter, type LogFormat } from "./cri-log.ts";

export interface LogReadOptions extends LogFormat {
  readonly tailLines?: number;
}

/** Where to learn that a followed container has ended. */
export interface FollowedContainer {
  isRunning(): Promise<boolean>;
  /** Calls back when it may have ended, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

const newline = 0x0a;
const blockBytes = 64 * 1024;
// containerd cuts lines at 16 KiB; this is for writers that do not, and still bounds memory.
const maxLineBytes = 1024 * 1024;
// kubelet's logForceCheckPeriod: for file systems without change events.
const pollMs = 1_000;

/**
 * Yields what the client reads, in pieces of about 64 KiB. With `follow` it goes on until the container
 * has ended and its file is read to the end, or `signal` aborts. A file that is not there is empty.
 */
export async function* readLog(
  path: string,
  options: LogReadOptions,
  follow: FollowedContainer | undefined,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const formatter = createLogFormatter(options);
  const lines = createLineSplitter(maxLineBytes);
  const wakeUp = follow && createWakeUp(path, follow, signal);
  // A file that grows while it is read must not yield more than the tail that was asked for.
  let remainingLines = follow
    ? Number.POSITIVE_INFINITY
    : (options.tailLines ?? Number.POSITIVE_INFINITY);
  if (remainingLines <= 0) return;
  let file: FileHandle | undefined;
  let position = 0;
  try {
    for (;;) {
      // Asked before reading: what was written before the end is then certainly read.
      const running = (await follow?.isRunning()) ?? false;
      if (file === undefined) {
        file = await openIfPresent(path);
        if (file !== undefined) {
          position = await findTailStart(file, (await file.stat()).size, options.tailLines);
        }
      }
      while (file !== undefined && !signal.aborted) {
        const block = Buffer.allocUnsafe(blockBytes);
        const { bytesRead } = await file.read(block, 0, blockBytes, position);
        if (bytesRead === 0) break;
        position += bytesRead;
        const out: Buffer[] = [];
        for (const line of lines.push(block.subarray(0, bytesRead))) {
          if (remainingLines <= 0) break;
          remainingLines -= 1;
          out.push(...formatter.format(line));
        }
        if (out.length > 0) yield Buffer.concat(out);
        if (formatter.done() || remainingLines <= 0) return;
      }
      if (signal.aborted) return;
      if (!running) break;
      await wakeUp?.wait(pollMs);
    }
    // The last line of a writer that died in the middle of it.
    const last = Buffer.concat(formatter.format(lines.rest()));
    if (last.length > 0) yield last;
  } finally {
    wakeUp?.close();
    await file?.close();
  }
}

/** The offset of the last `tailLines` lines, found by reading backwards from the end. */
export async function findTailStart(
  file: FileHandle,
  sizeBytes: number,
  tailLines: number | undefined,
): Promise<number> {
  if (tailLines === undefined) return 0;
  const block = Buffer.allocUnsafe(blockBytes);
  // The newline that ends the last line starts none, so one more has to be found; a last line that
  // has no newline yet counts as a line.
  let wanted = tailLines + 1;
  let end = sizeBytes;
  let atEnd = true;
  while (end > 0) {
    const start = Math.max(0, end - blockBytes);
    const { bytesRead } = await file.read(block, 0, end - start, start);
    if (bytesRead < end - start) return start;
    if (atEnd && block[bytesRead - 1] !== newline) wanted -= 1;
    atEnd = false;
    if (wanted <= 0) return sizeBytes;
    for (let at = bytesRead; at > 0; ) {
      at = block.subarray(0, at).lastIndexOf(newline);
      if (at < 0) break;
      wanted -= 1;
      if (wanted === 0) return start + at + 1;
    }
    end = start;
  }
  return 0;
}

async function openIfPresent(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Waits for the first of: the file changed, the container may have ended, a while passed, abort. */
function createWakeUp(path: string, follow: FollowedContainer, signal: AbortSignal) {
  let watcher: FSWatcher | undefined;
  let changed = false;
  let wake = () => {};
  const poke = () => {
    changed = true;
    wake();
  };
  const stopListening = follow.onChange(poke);
  signal.addEventListener("abort", poke);
  const watchFile = () => {
    try {
      watcher = watch(path, { persistent: false }, poke);
      // No watching is no failure: the poll is there.
      watcher.on("error", () => {});
      // What was written before the watch began has made no event.
      changed = true;
    } catch {
      watcher = undefined;
    }
  };
  return {
    wait: async (delayMs: number) => {
      if (watcher === undefined) watchFile();
      if (!changed) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, delayMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      changed = false;
      wake = () => {};
    },
    close: () => {
      watcher?.close();
      stopListening();
      signal.removeEventListener("abort", poke);
    },
  };
}
