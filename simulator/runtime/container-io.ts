/**
 * One container's streams: its output goes to the log and to everyone attached, input comes from
 * whoever is attached. A slow client slows the container down rather than losing its output.
 */
import type { Socket } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { type LogStream, type LogWriter, openLogWriter } from "./cri-log.ts";
import { openFifoReader, openFifoWriter } from "./fifos.ts";

export interface ContainerIoOptions {
  readonly stdout: string;
  /** Absent with a terminal. */
  readonly stderr: string | undefined;
  /** Absent when the container has no stdin. */
  readonly stdin: string | undefined;
  readonly stdinOnce: boolean;
  readonly logPath: string;
  /** Tells the shim that no more input comes. */
  closeStdin(): Promise<void>;
  /** The log cannot be written (full disk): told once; the output is lost, the container lives. */
  onLogFailure(error: unknown): void;
}

export interface IoClient {
  readonly stdin: Writable | undefined;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough | undefined;
  /** Resolves when the container's output ended or the client was closed. */
  readonly done: Promise<void>;
  close(): void;
}

export interface ContainerIo {
  /** Resolves when every writer of the output FIFOs has closed and all was logged. */
  readonly drained: Promise<void>;
  attach(wantsStdin: boolean): IoClient;
  /** Lets go of the files; the FIFOs stay for the next process. Idempotent. */
  close(): void;
}

export function openContainerIo(options: ContainerIoOptions): ContainerIo {
  const log: LogWriter = openLogWriter(options.logPath);
  const clients = new Set<{ readonly io: IoClient; finish(): void }>();
  const readers = new Map<LogStream, Socket>();
  let stdin: Writable | undefined;
  let closed = false;

  const ends = (["stdout", "stderr"] as const).flatMap((name) => {
    const path = options[name];
    return path === undefined ? [] : [pump(name, path)];
  });
  const drained = Promise.all(ends).then(() => close());
  if (options.stdin !== undefined) {
    // Held from before the task exists: a shim that finds no writer reads end of file.
    stdin = openFifoWriter(options.stdin, async () => {
      stdin = undefined;
      if (!closed) await options.closeStdin().catch(() => undefined);
    });
    stdin.on("error", () => undefined);
  }

  let logFailed = false;
  function writeLog(name: LogStream, chunk: Buffer): void {
    try {
      log.write(name, chunk);
      logFailed = false;
    } catch (error) {
      if (!logFailed) options.onLogFailure(error);
      logFailed = true;
    }
  }

  function pump(name: LogStream, path: string): Promise<void> {
    const reader = openFifoReader(path);
    readers.set(name, reader);
    const waiting = new Set<PassThrough>();
    reader.on("data", (chunk: Buffer) => {
      writeLog(name, chunk);
      for (const { io } of clients) {
        const target = io[name];
        if (target === undefined || target.destroyed || target.write(chunk)) continue;
        reader.pause();
        waiting.add(target);
        const release = () => {
          target.off("drain", release);
          target.off("close", release);
          waiting.delete(target);
          if (waiting.size === 0) reader.resume();
        };
        target.on("drain", release);
        target.on("close", release);
      }
    });
    return new Promise((resolve) => {
      reader.once("close", () => resolve());
      reader.on("error", () => reader.destroy());
      reader.on("end", () => reader.destroy());
    });
  }

  function attach(wantsStdin: boolean): IoClient {
    const stdout = new PassThrough();
    const stderr = options.stderr === undefined ? undefined : new PassThrough();
    let finish: () => void = () => undefined;
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const io: IoClient = {
      stdin: wantsStdin && stdin !== undefined ? inputFor() : undefined,
      stdout,
      stderr,
      done,
      close() {
        clients.delete(entry);
        io.stdin?.destroy();
        stdout.destroy();
        stderr?.destroy();
        finish();
      },
    };
    const entry = {
      io,
      finish: () => {
        stdout.end();
        stderr?.end();
        finish();
      },
    };
    if (closed) entry.finish();
    else clients.add(entry);
    return io;
  }

  /** One attached client's input: its end closes the container's stdin only with stdinOnce. */
  function inputFor(): Writable {
    return new Writable({
      write(chunk, _encoding, done) {
        if (stdin === undefined) done();
        else stdin.write(chunk, (error) => done(error ?? null));
      },
      final(done) {
        if (options.stdinOnce) stdin?.end();
        done();
      },
      destroy(error, done) {
        if (options.stdinOnce) stdin?.end();
        done(error);
      },
    });
  }

  function close(): void {
    if (closed) return;
    closed = true;
    for (const reader of readers.values()) reader.destroy();
    stdin?.destroy();
    log.close();
    for (const client of clients) client.finish();
    clients.clear();
  }

  return { drained, attach, close };
}
