/**
 * The FIFOs a containerd client gives a task. Opening never blocks, writing never loses, and closing
 * waits for a reader: a client may leave and come back.
 */
import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";

export interface OutputFifo {
  /** Resolves once the kernel has taken it; waits while the reader is slow or away. */
  write(chunk: Buffer): Promise<void>;
  /**
   * Gives up our ends. What is still in the pipe stays readable until a reader has come, or until
   * `abandon`: when the last end of a pipe closes, its content is lost.
   */
  close(): void;
  abandon(): void;
}

// How often a finished process's pipe is looked at for a reader. Rare: only while nobody listens.
const readerPollMs = 250;

/** `path` is a FIFO, a `file://` URI, or empty: then output goes nowhere. */
export function openOutput(path: string): OutputFifo {
  if (path === "") return { write: async () => {}, close: () => {}, abandon: () => {} };
  const target = plainPath(path);
  // Read AND write: the open never waits for a reader, and a reader that goes away is no EPIPE.
  const flags = path.startsWith("file://")
    ? constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND
    : constants.O_RDWR | constants.O_NONBLOCK;
  const pipe = writerOf(open(target, flags), path.startsWith("file://"));
  let held: number | undefined;
  let abandoned = false;
  const letGo = () => {
    if (held !== undefined) closeSync(held);
    held = undefined;
  };
  return {
    write: (chunk) =>
      new Promise((resolve, reject) => {
        pipe.write(chunk, (error) => (error ? reject(error) : resolve()));
      }),
    close() {
      if (pipe.destroyed) return;
      if (!path.startsWith("file://")) held = tryOpenWriter(target);
      pipe.destroy();
      void (async () => {
        while (held !== undefined && !abandoned) {
          const probe = tryOpenWriter(target);
          // ENXIO: no reader has it open. Else a reader is there and gets the rest, then the end.
          if (probe !== undefined) closeSync(probe);
          if (probe !== undefined) break;
          await sleep(readerPollMs, undefined, { ref: false });
        }
        letGo();
      })();
    },
    abandon() {
      abandoned = true;
      pipe.destroy();
      letGo();
    },
  };
}

export interface InputFifo {
  /** What the client writes; ends when its last writer closes or after `closeIo`. */
  readonly socket: Socket;
  /** Ends the input once everything written so far has been read. */
  closeIo(): void;
  close(): void;
}

/** `undefined` for an empty path: the process has no stdin. */
export function openInput(path: string): InputFifo | undefined {
  if (path === "") return undefined;
  // Never for writing: our own write end would hide the client's end of file.
  const fd = open(plainPath(path), constants.O_RDONLY | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.on("error", () => {});
  return {
    socket,
    closeIo() {
      // The poll phase of each turn of the event loop delivers what is in the pipe: one without news,
      // while nothing was held back, means that the pipe was empty. Immediates come right after it;
      // a timer that is late comes before it.
      let seen = -1;
      const look = () => {
        if (socket.destroyed || socket.readableEnded) return;
        const held = socket.isPaused() || socket.readableLength > 0;
        if (socket.bytesRead === seen && !held) {
          socket.push(null);
          return;
        }
        // A turn that was held back says nothing: after it the pipe has yet to be looked at.
        seen = held ? -1 : socket.bytesRead;
        setTimeout(() => setImmediate(look), 1);
      };
      setImmediate(look);
    },
    close: () => socket.destroy(),
  };
}

/** Throws before anything is made: `binary://` loggers are not run for guests. */
export function plainPath(path: string): string {
  if (/^binary(-v2)?:\/\//.test(path)) {
    throw shimError("NOT_SIMULATED", `stdio over ${path.split(":")[0]}:// is not simulated`);
  }
  return path.replace(/^(file|fifo):\/\//, "");
}

function open(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o600);
  } catch (error) {
    throw shimError("STDIO", `cannot open ${path}: ${messageOf(error)}`, { cause: error });
  }
}

function tryOpenWriter(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

function writerOf(fd: number, isFile: boolean): Writable {
  if (isFile) {
    const file = new Writable({
      write(chunk: Buffer, _encoding, callback) {
        writeAll(fd, chunk).then(() => callback(), callback);
      },
      destroy(error, callback) {
        closeSync(fd);
        callback(error);
      },
    });
    return file;
  }
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on("error", () => {});
  return socket;
}

async function writeAll(fd: number, chunk: Buffer): Promise<void> {
  const { write } = await import("node:fs");
  await new Promise<void>((resolve, reject) => {
    write(fd, chunk, (error, written) => {
      if (error) reject(error);
      else if (written < chunk.length) {
        writeAll(fd, chunk.subarray(written)).then(resolve, reject);
      } else resolve();
    });
  });
}
