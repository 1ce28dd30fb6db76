/**
 * FIFOs between us and shims. Read through the event loop (net.Socket), never by fs streams: a
 * blocking read of a FIFO would hold one of Node's four pool threads for as long as a pod is silent.
 */
import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { Writable } from "node:stream";
import { runCommand } from "../command.ts";
import { runtimeError } from "./errors.ts";

/** Existing ones are kept: a shim may have them open. */
export async function makeFifos(paths: readonly string[]): Promise<void> {
  const result = await runCommand("mkfifo", ["-m", "0600", ...paths]);
  if (result.ok || /File exists/.test(result.stderr)) return;
  throw runtimeError("HOST_COMMAND_FAILED", `mkfifo failed: ${result.stderr}`);
}

/**
 * Opens without waiting for a writer. Ends once every writer has closed; a FIFO that never had a
 * writer stays open, because the kernel reports a hang-up only after a writer came and went.
 */
export function openFifoReader(path: string): Socket {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return new Socket({ fd, readable: true, writable: false });
}

/**
 * A writer that exists before the shim opens its end and as long as we live: opened for reading
 * too, since a plain non-blocking open fails without a reader. `onEnd` runs once, after our end is
 * closed by end() or destroy().
 */
export function openFifoWriter(path: string, onEnd: () => Promise<void>): Writable {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on("error", () => undefined);
  let ended = false;
  const finish = async () => {
    if (ended) return;
    ended = true;
    // A FIFO knows no shutdown(2): closing it is its end of file.
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.destroy();
    await closed;
    await onEnd();
  };
  const ignore = () => undefined;
  return new Writable({
    write(chunk, _encoding, done) {
      socket.write(chunk, (error) => done(error ?? null));
    },
    final(done) {
      finish().then(() => done(), done);
    },
    destroy(error, done) {
      finish().then(() => done(error), ignore);
    },
  });
}
