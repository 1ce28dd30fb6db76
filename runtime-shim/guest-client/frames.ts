/** Frames of the guest protocol. The guest is the adversary: lengths are checked before memory is taken. */
import { createFramedReader } from "../../common/sockets/framed-reader.ts";
import { shimError } from "../errors.ts";
import { FrameKind, maxDataBytes, maxFrameLength, minFrameLength } from "./protocol.ts";

export interface GuestFrame {
  readonly kind: number;
  readonly id: number;
  readonly body: Buffer;
}

const lengthBytes = 4;
const kindAndIdBytes = 5;
export const frameHeaderBytes = lengthBytes + kindAndIdBytes;
// Its ids and words are a few hundred bytes.
const maxEventBytes = 64 << 10;

export function encodeGuestFrame(kind: number, id: number, ...parts: readonly Buffer[]): Buffer {
  const bodyBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const length = kindAndIdBytes + bodyBytes;
  if (length > maxFrameLength) {
    throw shimError(
      "GUEST_PROTOCOL",
      `a frame of ${length} bytes is longer than ${maxFrameLength}`,
    );
  }
  const header = Buffer.allocUnsafe(frameHeaderBytes);
  header.writeUInt32BE(length, 0);
  header.writeUInt8(kind, 4);
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, ...parts]);
}

/** `push` throws GUEST_PROTOCOL on the first illegal byte; the connection is then to be given up. */
export function createGuestFrameDecoder(): { push(chunk: Buffer): GuestFrame[] } {
  const reader = createFramedReader({
    headerBytes: lengthBytes,
    maxBodyBytes: maxFrameLength,
    bodyBytes(header) {
      const length = header.readUInt32BE(0);
      if (length < minFrameLength || length > maxFrameLength) {
        throw shimError("GUEST_PROTOCOL", `the guest sent a frame of ${length} bytes`);
      }
      return length;
    },
  });
  return {
    push: (chunk) =>
      reader.push(chunk).map(({ body }) => {
        const frame = { kind: body.readUInt8(0), id: body.readUInt32BE(1), body: body.subarray(5) };
        checkFrame(frame);
        return frame;
      }),
  };
}

function checkFrame({ kind, body }: GuestFrame): void {
  const bad = (what: string) => shimError("GUEST_PROTOCOL", `the guest sent ${what}`);
  switch (kind) {
    case FrameKind.reply:
      if (body.length < 4) throw bad("a reply without a status");
      return;
    case FrameKind.event:
      if (body.length < 1) throw bad("an event without a type");
      if (body.length > maxEventBytes) throw bad(`an event of ${body.length} bytes`);
      return;
    case FrameKind.data:
      if (body.length > maxDataBytes) throw bad(`${body.length} bytes of data in one frame`);
      return;
    case FrameKind.window:
      if (body.length !== 4) throw bad("a window of the wrong size");
      return;
    case FrameKind.reset:
      if (body.length !== 0) throw bad("a reset with content");
      return;
    default:
      throw bad(`a frame of kind ${kind}`);
  }
}
