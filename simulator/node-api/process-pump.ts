/** Joins a client's streams to a process's, with back pressure both ways. Shared by exec and attach. */
import type { Readable, Writable } from "node:stream";
import type { ProcessStreams } from "../runtime-port.ts";
import type { RemoteStreams } from "./remote-streams.ts";

// The runtime resolves `ended` once output was delivered, so only bytes already in the stream's
// buffer are still to come; a stream that neither ends nor holds bytes by then was left open.
const endlessOutputMs = 2_000;

/** "ended": the process is through and all its output is handed on. "gone": the client left first. */
export async function pumpProcess(
  streams: RemoteStreams,
  process: ProcessStreams,
  ended: Promise<unknown>,
): Promise<"ended" | "gone"> {
  feedInput(streams.stdin, process.stdin);
  const outputs = [
    copyOutput(process.stdout, streams.stdout),
    copyOutput(process.stderr, streams.stderr),
  ];
  streams.onResize((columns, rows) => {
    // A process that has just ended has no terminal left to resize.
    process.resize(columns, rows).catch(() => {});
  });
  const through = ended.then(async () => {
    await Promise.all(outputs.map((output) => output.drained()));
    return "ended" as const;
  });
  return Promise.race([through, streams.gone.then(() => "gone" as const)]);
}

function feedInput(client: Readable | undefined, process: Writable | undefined): void {
  if (client === undefined) return;
  client.on("error", () => {});
  // Destroyed: it closed its input before it was joined, and says so no more.
  if (process === undefined || process.destroyed) {
    client.resume();
    return;
  }
  // The process may end, or close its input, before the client has sent everything: the rest is read
  // and dropped, else it would hold up the connection.
  const drop = () => {
    client.unpipe(process);
    client.resume();
  };
  process.on("error", drop);
  process.on("close", drop);
  client.pipe(process);
}

function copyOutput(
  source: Readable | undefined,
  client: Writable | undefined,
): { drained(): Promise<void> } {
  if (source === undefined) return { drained: async () => {} };
  const finished = new Promise<void>((resolve) => {
    // A process may be through before its client is joined to it: a silent stream has ended by then.
    if (source.readableEnded || source.destroyed) resolve();
    source.once("end", resolve);
    source.once("close", resolve);
    source.once("error", () => resolve());
  });
  if (client === undefined) source.resume();
  else source.pipe(client, { end: false });
  return {
    drained: async () => {
      const check = new AbortController();
      const idle = new Promise<void>((resolve) => {
        const timer = setInterval(() => {
          // Paused is a slow client, not a silent process.
          if (source.readableLength === 0 && !source.isPaused()) resolve();
        }, endlessOutputMs);
        check.signal.addEventListener("abort", () => clearInterval(timer));
      });
      await Promise.race([finished, idle]);
      check.abort();
    },
  };
}
