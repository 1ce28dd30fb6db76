/**
 * One stream of the guest protocol as a Duplex with credit windows: the peer never holds more of our
 * bytes than it asked for, and we never hold more than one window of its bytes.
 */
import { Duplex } from "node:stream";
import { shimError } from "../errors.ts";
import { FrameKind, initialWindowBytes, maxDataBytes } from "./protocol.ts";

export interface GuestStream extends Duplex {
  readonly streamId: number;
  /** Called by the connection for each frame of this stream; throws when the guest overran its window. */
  receive(kind: number, body: Buffer): void;
}

export interface StreamTransport {
  send(kind: number, id: number, body: Buffer): void;
  /** The stream is over in both directions or was reset. */
  forget(id: number): void;
}

// Window is given back in pieces, not per read: fewer frames for the same flow.
const windowStep = initialWindowBytes / 4;
// A window can never usefully grow beyond this; more is an attack on our arithmetic.
const maxWindow = 64 << 20;

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
  const queue: Buffer[] = [];
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
    while (wanted && queue.length > 0) {
      const chunk = queue.shift() as Buffer;
      wanted = stream.push(chunk);
      consumed += chunk.length;
    }
    if (consumed >= windowStep && !endReceived) {
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
      queue.length = 0;
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
        sendWindow = Math.min(maxWindow, sendWindow + body.readUInt32BE(0));
        flush();
      } else if (body.length === 0) {
        endReceived = true;
        deliver();
      } else {
        receiveWindow -= body.length;
        if (receiveWindow < 0 || endReceived) {
          throw shimError("GUEST_PROTOCOL", `the guest overran the window of stream ${streamId}`);
        }
        queue.push(body);
        deliver();
      }
    },
  });
}
