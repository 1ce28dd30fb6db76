/**
 * Copies a container's output from the engine's log into the CRI log. The engine keeps the output
 * while no node runs, with a time for each entry, so a restarted node goes on exactly where the CRI
 * log ends: nothing is lost and nothing written twice.
 */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import type { Readable } from "node:stream";
import { type LogStream, openLogWriter } from "../runtime/cri-log.ts";
import { framesOf } from "./framed-output.ts";

export interface LogEntry {
  readonly stream: LogStream;
  /** RFC 3339 with nine digits, as the engine and the CRI log write it. */
  readonly time: string;
  /** With its newline; without one where the engine cut a long line. */
  readonly text: Buffer;
}

export interface LogPosition {
  readonly time: string;
  /** Entries of this very time that are written already: parts of a long line share theirs. */
  readonly entries: number;
}

// The engine's own limit for an entry (daemon/logger/copier.go), and the CRI log's.
const maxEntryBytes = 16 * 1024;
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /;
const timeLength = "2006-01-02T15:04:05.000000000Z ".length;
// Holds the last entries of any log: an entry has at most maxEntryBytes.
const tailBytes = 8 * maxEntryBytes;

/** Resolves when the engine's stream has ended; rejects when the log cannot be written. */
export async function copyLog(
  source: Readable,
  options: { readonly tty: boolean; readonly logPath: string; readonly after?: LogPosition },
): Promise<void> {
  const { after, logPath } = options;
  const log = openLogWriter(logPath);
  let skipped = 0;
  try {
    for await (const { stream, time, text } of options.tty ? lines(source) : entries(source)) {
      if (after !== undefined && time < after.time) continue;
      if (after !== undefined && time === after.time && skipped < after.entries) {
        skipped++;
        continue;
      }
      log.write(stream, text, time);
    }
  } finally {
    log.close();
    source.destroy();
  }
}

/** Where a CRI log ends; undefined when there is none yet. */
export function logPosition(logPath: string): LogPosition | undefined {
  if (!existsSync(logPath)) return undefined;
  const times = readTail(logPath)
    .split("\n")
    .filter((line) => timePattern.test(line))
    .map((line) => line.slice(0, timeLength - 1));
  const time = times.at(-1);
  if (time === undefined) return undefined;
  return { time, entries: times.filter((other) => other === time).length };
}

/** For the API's `since`: seconds and nanoseconds. */
export function sinceOf(position: LogPosition | undefined): string {
  if (position === undefined) return "0";
  const nanoseconds = /\.(\d{9})Z$/.exec(position.time)?.[1] ?? "0";
  return `${Math.floor(Date.parse(position.time) / 1000)}.${nanoseconds}`;
}

async function* entries(source: Readable): AsyncIterable<LogEntry> {
  for await (const { stream, payload } of framesOf(source)) {
    const entry = entryOf(stream, payload);
    if (entry !== undefined) yield entry;
  }
}

/** With a terminal there are no frames: entries are lines, which the engine cuts where they are long. */
async function* lines(source: Readable): AsyncIterable<LogEntry> {
  source.setEncoding("latin1");
  let rest = "";
  for await (const chunk of source as AsyncIterable<string>) {
    rest += chunk;
    for (let end = entryEnd(rest); end !== undefined; end = entryEnd(rest)) {
      const entry = entryOf("stdout", Buffer.from(rest.slice(0, end), "latin1"));
      if (entry !== undefined) yield entry;
      rest = rest.slice(end);
    }
  }
  const last = entryOf("stdout", Buffer.from(rest, "latin1"));
  if (last !== undefined) yield last;
}

/** After its newline, or where the next part of a long line begins. */
function entryEnd(text: string): number | undefined {
  const newline = text.indexOf("\n");
  const longest = timeLength + maxEntryBytes;
  if ((newline === -1 || newline >= longest) && hasTime(text, longest)) return longest;
  return newline === -1 ? undefined : newline + 1;
}

function hasTime(text: string, at: number): boolean {
  return timePattern.test(text.slice(at, at + timeLength));
}

function entryOf(stream: LogStream, payload: Buffer): LogEntry | undefined {
  const head = payload.subarray(0, timeLength).toString("latin1");
  if (!timePattern.test(head)) return undefined;
  return { stream, time: head.slice(0, -1), text: payload.subarray(timeLength) };
}

function readTail(path: string): string {
  const { size } = statSync(path);
  const buffer = Buffer.alloc(Math.min(size, tailBytes));
  const fd = openSync(path, "r");
  try {
    readSync(fd, buffer, 0, buffer.length, size - buffer.length);
  } finally {
    closeSync(fd);
  }
  return buffer.toString("latin1");
}
