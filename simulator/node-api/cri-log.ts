/**
 * The CRI log format, one line per write of a container:
 *
 *     2016-10-06T00:17:09.669794202Z stdout F log content
 *
 * Tag P marks a piece of a longer line: its newline is the file's, not the container's.
 * Source: kubernetes pkg/kubelet/kuberuntime/logs/logs.go.
 */

export interface CriLogLine {
  /** RFC 3339 with nanoseconds, as written. */
  readonly timestamp: string;
  readonly stream: "stdout" | "stderr";
  /** With its newline, unless it is a piece of a longer line or the file ends in it. */
  readonly content: Buffer;
}

const space = 0x20;
const newline = 0x0a;
const partialTag = "P";
const timestampPattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** `line` includes its newline, if it has one. Undefined when it is not in the format. */
export function parseCriLine(line: Buffer): CriLogLine | undefined {
  const afterTimestamp = line.indexOf(space);
  const afterStream = line.indexOf(space, afterTimestamp + 1);
  const afterTag = line.indexOf(space, afterStream + 1);
  if (afterTimestamp < 0 || afterStream < 0 || afterTag < 0) return undefined;
  const timestamp = line.toString("latin1", 0, afterTimestamp);
  const stream = line.toString("latin1", afterTimestamp + 1, afterStream);
  if (stream !== "stdout" && stream !== "stderr") return undefined;
  if (!timestampPattern.test(timestamp)) return undefined;
  // More tags may follow the first, colon-separated.
  const tag = line.toString("latin1", afterStream + 1, afterTag).split(":")[0];
  const end = tag === partialTag && line.at(-1) === newline ? line.length - 1 : line.length;
  return { timestamp, stream, content: line.subarray(afterTag + 1, end) };
}

/** Go's RFC3339NanoFixed, which always prints nine digits, from any RFC 3339 time. */
export function fixedTimestamp(timestamp: string): string {
  const match = /^(.*T\d\d:\d\d:\d\d)(?:\.(\d+))?(.*)$/.exec(timestamp);
  if (!match) return timestamp;
  const [, seconds, fraction = "", zone] = match;
  return `${seconds}.${fraction.padEnd(9, "0")}${zone}`;
}

export interface LogFormat {
  readonly timestamps: boolean;
  /** Older lines are left out. */
  readonly sinceMs?: number;
  readonly limitBytes?: number;
}

/** Turns raw lines of the file into what the client reads. */
export function createLogFormatter(options: LogFormat): {
  format(line: Buffer): readonly Buffer[];
  /** The byte limit is reached. */
  done(): boolean;
} {
  let remainingBytes = options.limitBytes ?? Number.POSITIVE_INFINITY;
  // A time goes before whole lines only, not before each piece of one.
  let atLineStart = true;
  return {
    done: () => remainingBytes <= 0,
    format: (raw) => {
      const line = parseCriLine(raw);
      // As the kubelet: what is not in the format is passed over.
      if (line === undefined) return [];
      if (options.sinceMs !== undefined && Date.parse(line.timestamp) < options.sinceMs) return [];
      const parts = [line.content];
      if (options.timestamps && atLineStart) {
        parts.unshift(Buffer.from(`${fixedTimestamp(line.timestamp)} `));
        atLineStart = false;
      }
      if (line.content.length > 0) atLineStart = line.content.at(-1) === newline;
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      const taken = Math.min(length, remainingBytes);
      remainingBytes -= taken;
      return taken === length ? parts : [Buffer.concat(parts).subarray(0, taken)];
    },
  };
}

/** Cuts bytes into lines with their newlines; a line above the cap is passed over whole. */
export function createLineSplitter(maxLineBytes: number): {
  push(chunk: Buffer): readonly Buffer[];
  /** What came after the last newline. */
  rest(): Buffer;
} {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let skipping = false;
  const hold = (piece: Buffer) => {
    heldBytes += piece.length;
    skipping ||= heldBytes > maxLineBytes;
    if (skipping) held = [];
    else held.push(piece);
  };
  const take = (): Buffer | undefined => {
    const line = skipping ? undefined : held.length === 1 ? held[0] : Buffer.concat(held);
    held = [];
    heldBytes = 0;
    skipping = false;
    return line;
  };
  return {
    push: (chunk) => {
      const lines: Buffer[] = [];
      let from = 0;
      for (;;) {
        const at = chunk.indexOf(newline, from);
        if (at < 0) break;
        hold(chunk.subarray(from, at + 1));
        const line = take();
        if (line !== undefined) lines.push(line);
        from = at + 1;
      }
      // A copy: the read buffer is used again.
      if (from < chunk.length) hold(Buffer.from(chunk.subarray(from)));
      return lines;
    },
    rest: () => take() ?? Buffer.alloc(0),
  };
}
