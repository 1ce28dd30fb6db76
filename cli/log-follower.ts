/** The last lines of a file, then what is added to it, across truncation and replacement. */
import { open, stat } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { type Clock, systemClock } from "../common/clock.ts";
import { cliError } from "./errors.ts";

export interface FollowOptions {
  readonly file: string;
  readonly tail: number;
  readonly follow: boolean;
  readonly write: (line: string) => void;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/** inotify misses files that do not exist yet and network file systems: a short poll sees all. */
const pollMs = 250;
/** Enough for hundreds of lines without reading a day's log. */
const tailBytesPerLine = 4096;
const chunkBytes = 64 * 1024;

/** Resolves at the end of the file, or with `follow` when the signal aborts. Throws NOT_FOUND. */
export async function printLog(options: FollowOptions): Promise<void> {
  const clock = options.clock ?? systemClock;
  const size = (await stat(options.file).catch(() => undefined))?.size;
  if (size === undefined && !options.follow) {
    throw cliError("NOT_FOUND", `there is no log yet at ${options.file}`, {
      hint: "katasim status shows whether the node was ever started",
    });
  }
  const start = Math.max(0, (size ?? 0) - options.tail * tailBytesPerLine);
  const first = await readFrom(options.file, start, size ?? 0);
  const lines = first.text.split("\n");
  // The piece after the last newline is an unfinished line: it waits for its end.
  let rest = lines.pop() ?? "";
  if (start > 0) lines.shift();
  for (const line of options.tail === 0 ? [] : lines.slice(-options.tail)) options.write(line);
  let position = first.end;
  while (options.follow && !options.signal?.aborted) {
    try {
      await clock.sleep(pollMs, options.signal);
    } catch {
      break;
    }
    const now = (await stat(options.file).catch(() => undefined))?.size ?? 0;
    if (now < position) position = 0;
    if (now === position) continue;
    const added = await readFrom(options.file, position, now);
    position = added.end;
    const pieces = (rest + added.text).split("\n");
    rest = pieces.pop() ?? "";
    for (const line of pieces) options.write(line);
  }
  if (rest !== "") options.write(rest);
}

async function readFrom(
  file: string,
  from: number,
  to: number,
): Promise<{ readonly text: string; readonly end: number }> {
  const handle = await open(file, "r").catch(() => undefined);
  if (handle === undefined) return { text: "", end: from };
  try {
    const decoder = new StringDecoder("utf8");
    const buffer = Buffer.alloc(chunkBytes);
    let text = "";
    let position = from;
    while (position < to) {
      const wanted = Math.min(chunkBytes, to - position);
      const { bytesRead } = await handle.read(buffer, 0, wanted, position);
      if (bytesRead === 0) break;
      text += decoder.write(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
    return { text, end: position };
  } finally {
    await handle.close();
  }
}
