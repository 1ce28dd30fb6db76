/** Joins a process's streams in the guest with the FIFOs its client opened. */

import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { GuestClient } from "./client.ts";
import type { FieldList } from "./fields.ts";
import { type InputFifo, type OutputFifo, openInput, openOutput } from "./fifo.ts";
import type { GuestStream } from "./stream.ts";

export interface StdioPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

export interface ProcessStdio {
  /** STDIN_STREAM, STDOUT_STREAM, STDERR_STREAM of the request that makes the process. */
  readonly fields: FieldList;
  /** Resolves once all output has been handed to the client's FIFOs. */
  readonly drained: Promise<void>;
  /** When output was last handed over, in ms of performance.now(). */
  readonly lastProgressMs: () => number;
  closeStdin(): void;
  /** After the exit: ends stdin, leaves unread output for a reader that may still come. */
  close(): void;
  /** Lets go of everything at once. */
  abandon(): void;
}

/** Opens the FIFOs; throws STDIO, with nothing left open, when one cannot be opened. */
export function openStdio(guest: GuestClient, paths: StdioPaths, log: Logger): ProcessStdio {
  const outputs: OutputFifo[] = [];
  let input: InputFifo | undefined;
  try {
    outputs.push(openOutput(paths.stdout));
    // With a terminal there is one output; containerd gives an empty path then.
    if (!paths.terminal) outputs.push(openOutput(paths.stderr));
    input = openInput(paths.stdin);
  } catch (error) {
    for (const output of outputs) output.abandon();
    throw error;
  }
  let progressMs = performance.now();
  const streams = outputs.map(() => guest.openStream("output"));
  const stdin = input === undefined ? undefined : guest.openStream("input");
  const pumps = outputs.map(async (output, index) => {
    const stream = streams[index] as GuestStream;
    try {
      for await (const chunk of stream) {
        await output.write(chunk as Buffer);
        progressMs = performance.now();
      }
    } catch (error) {
      log.debug({ error: messageOf(error) }, "output ended early");
    }
  });
  if (input !== undefined && stdin !== undefined) pumpInput(input, stdin);
  let abandoned = false;
  return {
    fields: [
      [39, stdin?.streamId],
      [40, streams[0]?.streamId],
      [41, streams[1]?.streamId],
    ],
    drained: Promise.all(pumps).then(() => {}),
    lastProgressMs: () => progressMs,
    closeStdin: () => input?.closeIo(),
    close() {
      if (abandoned) return;
      input?.close();
      stdin?.destroy();
      for (const output of outputs) output.close();
    },
    abandon() {
      abandoned = true;
      input?.close();
      stdin?.destroy();
      for (const stream of streams) stream.destroy();
      for (const output of outputs) output.abandon();
    },
  };
}

function pumpInput(input: InputFifo, stdin: GuestStream): void {
  const { socket } = input;
  socket.on("data", (chunk: Buffer) => {
    if (!stdin.write(chunk)) socket.pause();
  });
  stdin.on("drain", () => socket.resume());
  socket.on("end", () => stdin.end());
  // The process closed its stdin, or the guest is gone: nobody will read on.
  stdin.on("error", () => input.close());
}
