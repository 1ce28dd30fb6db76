/**
 * Takes apart what the engine sends for a process without a terminal: frames of one byte stream
 * number (1 stdout, 2 stderr), three zero bytes, a big-endian length and the payload (Engine API,
 * ContainerAttach, "Stream format").
 */
import {
  PassThrough,
  pipeline,
  type Readable,
  Transform,
  type TransformCallback,
} from "node:stream";
import type { LogStream } from "../runtime/cri-log.ts";
import { dockerError } from "./errors.ts";

const headerBytes = 8;
// The engine writes at most 32 KiB at once (io.Copy); this only bounds what a broken peer costs.
const maxFrameBytes = 16 * 1024 * 1024;

export interface Frame {
  readonly stream: LogStream;
  readonly payload: Buffer;
}

/** Whole frames, in order; rejects when the connection breaks within one. */
export function framesOf(source: Readable): AsyncIterable<Frame> {
  const split = splitter();
  // Tells the splitter of a source that ends without an end.
  pipeline(source, split, () => undefined);
  return split;
}

function splitter(): Transform {
  let pending: Buffer = Buffer.alloc(0);
  return new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      while (pending.length >= headerBytes) {
        const length = pending.readUInt32BE(4);
        const number = pending[0];
        if ((number !== 1 && number !== 2) || length > maxFrameBytes) {
          done(dockerError("ENGINE_REFUSED", "the engine's stream is not framed as its API says"));
          return;
        }
        const end = headerBytes + length;
        if (pending.length < end) break;
        const frame: Frame = {
          stream: number === 1 ? "stdout" : "stderr",
          payload: pending.subarray(headerBytes, end),
        };
        this.push(frame);
        pending = pending.subarray(end);
      }
      done();
    },
  });
}

export interface Outputs {
  readonly stdout: PassThrough;
  /** Absent with a terminal. */
  readonly stderr: PassThrough | undefined;
  /** Resolves when the source ended and everything was handed on. */
  readonly ended: Promise<void>;
}

/** Splits a process's output; a slow reader slows the process down. */
export function splitOutput(source: Readable, tty: boolean): Outputs {
  const stdout = new PassThrough();
  if (tty) {
    source.pipe(stdout);
    source.once("error", () => stdout.end());
    source.once("close", () => stdout.end());
    return { stdout, stderr: undefined, ended: endOf(source) };
  }
  const stderr = new PassThrough();
  const ended = (async () => {
    try {
      for await (const { stream, payload } of framesOf(source)) {
        const target = stream === "stdout" ? stdout : stderr;
        if (target.destroyed || target.write(payload)) continue;
        await new Promise<void>((resolve) => {
          target.once("drain", resolve);
          target.once("close", resolve);
        });
      }
    } catch {
      // A broken connection is the end of the output.
    }
    stdout.end();
    stderr.end();
  })();
  return { stdout, stderr, ended };
}

function endOf(source: Readable): Promise<void> {
  if (source.readableEnded || source.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    source.once("end", resolve);
    source.once("close", resolve);
  });
}
