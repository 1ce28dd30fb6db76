/** The shim's ends of a task's FIFOs, with real ones. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  stat,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openInput, openOutput } from "../../runtime-shim/guest-client/fifo.ts";
import { waitUntil } from "../support/wait-until.ts";

const pipeBytes = 64 << 10;

describe("a task's FIFOs", () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync("/tmp/kfifo-");
    path = join(folder, "f");
    execFileSync("mkfifo", [path]);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const openReader = () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  /** Everything up to the end of file, or undefined when nothing is there yet. */
  const read = (fd: number) => {
    const chunk = Buffer.alloc(pipeBytes);
    try {
      return chunk.subarray(0, readSync(fd, chunk)).toString();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return undefined;
      throw error;
    }
  };

  it("keep what was written until a reader comes, and then end", async () => {
    const output = openOutput(path);
    await output.write(Buffer.from("last words"));
    output.close();
    await sleep(50);
    const reader = openReader();
    expect(read(reader)).toBe("last words");
    await waitUntil(() => read(reader) === "", { what: "the end of file", timeoutMs: 5_000 });
    closeSync(reader);
  });

  it("hold a writer up while nobody reads, and lose nothing", async () => {
    const output = openOutput(path);
    const data = Buffer.from("0123456789".repeat(pipeBytes / 5));
    let taken = false;
    const written = output.write(data).then(() => {
      taken = true;
    });
    await sleep(50);
    expect(taken).toBe(false);
    const reader = openReader();
    let got = "";
    await waitUntil(
      () => {
        got += read(reader) ?? "";
        return got.length >= data.length;
      },
      { what: "all bytes", intervalMs: 1 },
    );
    await written;
    expect(got).toBe(data.toString());
    output.abandon();
    closeSync(reader);
  });

  it("survive a reader that goes away", async () => {
    const output = openOutput(path);
    closeSync(openReader());
    await output.write(Buffer.from("x"));
    output.abandon();
  });

  it("end the input when the last writer closes", async () => {
    const input = openInput(path);
    const chunks: Buffer[] = [];
    const ended = new Promise((resolve) => input?.socket.once("end", resolve));
    input?.socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    const writer = openSync(path, constants.O_WRONLY);
    writeSync(writer, "in");
    closeSync(writer);
    await ended;
    expect(Buffer.concat(chunks).toString()).toBe("in");
  });

  it("end the input on closeIo although a writer is still there, after what it wrote", async () => {
    const chunks: Buffer[] = [];
    const writer = openSync(path, constants.O_RDWR);
    const input = openInput(path);
    const ended = new Promise((resolve) => input?.socket.once("end", resolve));
    await inPollPhase(() => {
      input?.socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      writeSync(writer, "before the end");
      input?.closeIo();
      // Timers are late on a busy machine: they then come before the pipe is looked at.
      setImmediate(stayBusy);
    });
    await ended;
    expect(Buffer.concat(chunks).toString()).toBe("before the end");
    closeSync(writer);
    input?.close();
  });

  it("end the input after what the pipe still held when a slow reader came back", async () => {
    const input = openInput(path);
    const chunks: Buffer[] = [];
    const ended = new Promise((resolve) => input?.socket.once("end", resolve));
    const writer = openSync(path, constants.O_WRONLY);
    input?.socket.once("data", () => input.socket.pause());
    input?.socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    // The first piece passes, the second fills the stream's own buffer, the third stays in the pipe.
    const pieces = ["a", "b", "c"].map((letter) => letter.repeat(pipeBytes / 2));
    for (const piece of pieces) {
      writeSync(writer, piece);
      await sleep(20);
    }
    input?.closeIo();
    await sleep(20);
    // As a window from the guest does it.
    await inPollPhase(() => {
      input?.socket.resume();
      stayBusy();
    });
    await ended;
    expect(Buffer.concat(chunks).toString()).toBe(pieces.join(""));
    closeSync(writer);
    input?.close();
  });

  it("are refused with their name when they cannot be opened", () => {
    expect(() => openOutput(join(folder, "none/f"))).toThrow("none/f");
    expect(() => openOutput("binary:///bin/logger")).toThrow("binary:// is not simulated");
  });
});

/** Runs `act` where the event loop delivers input and output: timers come before the next such phase. */
function inPollPhase(act: () => void): Promise<void> {
  return new Promise((resolve) => {
    stat("/", () => {
      act();
      resolve();
    });
  });
}

/** Longer than the shortest timer. */
function stayBusy(): void {
  const until = performance.now() + 5;
  while (performance.now() < until);
}
