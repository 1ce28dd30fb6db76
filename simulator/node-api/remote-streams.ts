/**
 * What exec and attach see of a client, whichever protocol carries it: SPDY/3.1 (spdy-streams.ts) or
 * channels over a WebSocket (websocket-channels.ts).
 */
import type { Readable, Writable } from "node:stream";
import { nodeApiError } from "./errors.ts";
import type { Status } from "./status.ts";

export interface RemoteStreams {
  /** Ends when the client closed its standard input. Pausing it slows the client down. */
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  /** The sizes the client's terminal takes, from the beginning; one listener. */
  onResize(listener: (columns: number, rows: number) => void): void;
  /** Resolves when the client has gone or `finish` is through. */
  readonly gone: Promise<void>;
  /** Delivers all output written so far, then the status, then closes. Never rejects. */
  finish(status: Status): Promise<void>;
}

export interface RemoteStreamOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** Reads kubelet's query (`input=1&output=1&error=1&tty=1`). Throws BAD_OPTIONS. */
export function parseStreamOptions(query: URLSearchParams): RemoteStreamOptions {
  const flag = (name: string) => query.get(name) === "1" || query.get(name) === "true";
  const tty = flag("tty");
  const options = {
    stdin: flag("input"),
    stdout: flag("output"),
    // A terminal has one output; the kubelet drops stderr silently too.
    stderr: flag("error") && !tty,
    tty,
  };
  if (!options.stdin && !options.stdout && !options.stderr) {
    throw nodeApiError("BAD_OPTIONS", "you must specify at least 1 of stdin, stdout, stderr");
  }
  return options;
}

// One resize message is about 30 bytes; more than this without a closing brace is rubbish.
const maxResizeBytes = 4096;

/**
 * Takes `{"Width":100,"Height":40}` objects in any pieces. kubectl sends 0x0 when it cannot tell its
 * size: left out.
 */
export function createResizeDecoder(
  onSize: (columns: number, rows: number) => void,
): (chunk: Buffer) => void {
  let text = "";
  return (chunk) => {
    text += chunk.toString("latin1");
    for (;;) {
      const end = text.indexOf("}");
      if (end < 0) break;
      const size = parseSize(text.slice(text.lastIndexOf("{", end), end + 1));
      text = text.slice(end + 1);
      if (size !== undefined) onSize(size.columns, size.rows);
    }
    if (text.length > maxResizeBytes) text = "";
  };
}

function parseSize(text: string): { columns: number; rows: number } | undefined {
  try {
    const { Width: columns, Height: rows } = JSON.parse(text) as Record<string, unknown>;
    return isSize(columns) && isSize(rows) ? { columns, rows } : undefined;
  } catch {
    return undefined;
  }
}

// struct winsize has 16 bits for each.
function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) <= 0xffff;
}

/** Sizes that arrive before anyone listens: only the latest matters. */
export function createResizeRelay(): {
  readonly decode: (chunk: Buffer) => void;
  readonly onResize: RemoteStreams["onResize"];
} {
  let listener: ((columns: number, rows: number) => void) | undefined;
  let latest: { columns: number; rows: number } | undefined;
  return {
    decode: createResizeDecoder((columns, rows) => {
      if (listener) listener(columns, rows);
      else latest = { columns, rows };
    }),
    onResize: (next) => {
      listener = next;
      if (latest) next(latest.columns, latest.rows);
      latest = undefined;
    },
  };
}

/** Ends a stream and waits until its last byte was handed on, or it broke. */
export function endAndFlush(stream: Writable | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (stream === undefined || stream.destroyed || stream.writableFinished) {
      resolve();
      return;
    }
    stream.once("finish", resolve);
    stream.once("close", resolve);
    stream.end();
  });
}
