/**
 * One stream of the guest protocol as a Duplex with credit windows: the peer never holds more of our
 * bytes than it asked for, and we never hold more than one window of its bytes, nor more of ours than
 * the connection takes.
 */
import { Duplex } from "node:stream";
import { shimError } from "../errors.ts";
import { createByteQueue } from "./byte-queue.ts";
import { FrameKind, initialWindowBytes, maxDataBytes } from "./protocol.ts";

export interface GuestStream extends Duplex {
  readonly streamId: number;
  /** Called by the connection for each frame of this stream; throws when the guest breaks its rules. */
  receive(kind: number, body: Buffer): void;
}

export interface StreamTransport {
  send(kind: number, id: number, body: Buffer): void;
  /** Whether the connection takes more now; if not, calls back once it does. */
  hasRoom(retry: () => void): boolean;
  /** The stream is over in both directions or was reset. */
  forget(id: number): void;
}

// Window is given back in pieces, not per read: fewer frames for the same flow.
const windowStep = initialWindowBytes / 4;

/** Which way bytes flow: both, from the guest only (program output), to the guest only (stdin). */
export type StreamDirection = "both" | "output" | "input";

export function createGuestStream(
  streamId: number,
  transport: StreamTransport,
  direction: StreamDirection = "both",
): GuestStream {
  // Towards the guest.
  let sendWindow = initialWindowBytes;
  let unsent: Buffer | undefined;
  let sent: ((error?: Error | null) => void) | undefined;
  // From the guest.
  let receiveWindow = initialWindowBytes;
  let consumed = 0;
  const queue = createByteQueue();
  let wanted = false;
  // A direction that is not used counts as over: no end is sent or awaited.
  let endReceived = direction === "input";
  let endDelivered = direction === "input";
  let endSent = direction === "output";

  const forgetWhenOver = () => {
    if (endDelivered && endSent) transport.forget(streamId);
  };
  const flush = () => {
    while (unsent !== undefined && unsent.length > 0 && sendWindow > 0) {
      if (!transport.hasRoom(flush)) return;
      const size = Math.min(unsent.length, sendWindow, maxDataBytes);
      transport.send(FrameKind.data, streamId, unsent.subarray(0, size));
      sendWindow -= size;
      unsent = unsent.subarray(size);
    }
    if (unsent !== undefined && unsent.length === 0) {
      const done = sent;
      unsent = undefined;
      sent = undefined;
      done?.();
    }
  };
  const deliver = () => {
    const chunk = wanted ? queue.shift() : undefined;
    if (chunk !== undefined) {
      // Once per read: what comes before the next one is gathered into one piece.
      wanted = false;
      consumed += chunk.length;
      stream.push(chunk);
    }
    if (consumed >= windowStep && !endReceived && transport.hasRoom(deliver)) {
      const body = Buffer.allocUnsafe(4);
      body.writeUInt32BE(consumed);
      transport.send(FrameKind.window, streamId, body);
      receiveWindow += consumed;
      consumed = 0;
    }
    if (endReceived && queue.length === 0 && !endDelivered) {
      endDelivered = true;
      stream.push(null);
      forgetWhenOver();
    }
  };

  const stream = new Duplex({
    allowHalfOpen: true,
    // Node knows these options, its type declarations do not.
    ...{ readable: direction !== "input", writable: direction !== "output" },
    read() {
      wanted = true;
      deliver();
    },
    write(chunk: Buffer, _encoding, callback) {
      unsent = chunk;
      sent = callback;
      flush();
    },
    final(callback) {
      endSent = true;
      transport.send(FrameKind.data, streamId, Buffer.alloc(0));
      forgetWhenOver();
      callback();
    },
    destroy(error, callback) {
      if (!(endSent && endReceived)) transport.send(FrameKind.reset, streamId, Buffer.alloc(0));
      transport.forget(streamId);
      queue.clear();
      unsent = undefined;
      sent?.(error);
      sent = undefined;
      callback(error);
    },
  });

  return Object.assign(stream, {
    streamId,
    receive(kind: number, body: Buffer) {
      if (kind === FrameKind.reset) {
        endSent = true;
        endReceived = true;
        stream.destroy(shimError("GUEST_REFUSED", "the guest closed the stream"));
      } else if (kind === FrameKind.window) {
        const credit = body.readUInt32BE(0);
        sendWindow += credit;
        // It gives back what it took: a window is never larger than in the beginning.
        if (credit === 0 || sendWindow > initialWindowBytes) {
          throw broken(
            `gave back ${credit} bytes of window on stream ${streamId} that it did not take`,
          );
        }
        flush();
      } else if (endReceived) {
        throw broken(`sent data after the end of stream ${streamId}`);
      } else if (body.length === 0) {
        endReceived = true;
        deliver();
      } else {
        receiveWindow -= body.length;
        if (receiveWindow < 0) throw broken(`overran the window of stream ${streamId}`);
        queue.push(body);
        deliver();
      }
    },
  });
}

function broken(what: string) {
  return shimError("GUEST_PROTOCOL", `the guest ${what}`);
}
