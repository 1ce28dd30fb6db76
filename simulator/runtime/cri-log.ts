/**
 * Container logs in CRI form: `<RFC3339Nano> stdout|stderr F|P <text>`, one entry a line.
 * Source: kubelet pkg/kubelet/kuberuntime/logs; containerd internal/cri/io/logger.go.
 */
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export type LogStream = "stdout" | "stderr";

/** containerd's max_container_log_line_size: longer lines are cut into P entries. */
export const maxLineBytes = 16 * 1024;

const newline = 0x0a;

/**
 * Every byte that was read becomes an entry at once. containerd keeps an unfinished line in memory
 * until its newline comes; here it is written as P, so that kill -9 of the node loses nothing.
 * Readers join P entries, so both come out the same.
 */
export function encodeLog(stream: LogStream, chunk: Uint8Array, time: string): Uint8Array {
  const parts: Uint8Array[] = [];
  const entry = (tag: "F" | "P", text: Uint8Array) => {
    parts.push(Buffer.from(`${time} ${stream} ${tag} `), text, Buffer.of(newline));
  };
  let start = 0;
  while (start < chunk.length) {
    const end = chunk.indexOf(newline, start);
    const lineEnd = end === -1 ? chunk.length : end;
    while (lineEnd - start > maxLineBytes) {
      entry("P", chunk.subarray(start, start + maxLineBytes));
      start += maxLineBytes;
    }
    entry(end === -1 ? "P" : "F", chunk.subarray(start, lineEnd));
    start = lineEnd + 1;
  }
  return Buffer.concat(parts);
}

/** RFC 3339 with nine digits; the clock gives microseconds. */
export function logTime(epochMs: number): string {
  const wholeMs = Math.floor(epochMs);
  const belowMs = Math.floor((epochMs - wholeMs) * 1_000)
    .toString()
    .padStart(3, "0");
  return new Date(wholeMs).toISOString().replace("Z", `${belowMs}000Z`);
}

export interface LogWriter {
  /** `time` is when the process wrote it; default: now. */
  write(stream: LogStream, chunk: Uint8Array, time?: string): void;
  close(): void;
}

/** Appends; makes the folder. Writes are synchronous: see `encodeLog`. */
export function openLogWriter(path: string): LogWriter {
  mkdirSync(dirname(path), { recursive: true });
  let fd: number | undefined = openSync(path, "a", 0o640);
  return {
    write(stream, chunk, time = logTime(performance.timeOrigin + performance.now())) {
      if (fd === undefined) return;
      const bytes = encodeLog(stream, chunk, time);
      let written = 0;
      while (written < bytes.length) written += writeSync(fd, bytes, written);
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
