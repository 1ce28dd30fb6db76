/**
 * ttrpc messages on the wire: github.com/containerd/ttrpc PROTOCOL.md and channel.go. A 10-byte
 * header (u32 length, u32 stream, u8 type, u8 flags, big endian), then a protobuf message.
 */
import { createFramedReader } from "../../common/sockets/framed-reader.ts";

export const MessageType = { request: 1, response: 2, data: 3 } as const;

/** On a request: more messages will follow, so this is a streaming call. */
export const flagRemoteOpen = 2;

/** messageLengthMax of channel.go; longer messages are answered with ResourceExhausted. */
export const maxMessageBytes = 4 << 20;

const headerBytes = 10;

export interface TtrpcFrame {
  readonly streamId: number;
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
  /** Longer than `maxMessageBytes`; the payload was skipped. */
  readonly oversize: boolean;
}

export function encodeFrame(
  streamId: number,
  type: number,
  payload: Uint8Array,
  flags = 0,
): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt32BE(streamId, 4);
  frame.writeUInt8(type, 8);
  frame.writeUInt8(flags, 9);
  frame.set(payload, headerBytes);
  return frame;
}

export function createFrameDecoder(): { push(chunk: Buffer): TtrpcFrame[] } {
  const reader = createFramedReader({
    headerBytes,
    bodyBytes: (header) => header.readUInt32BE(0),
    maxBodyBytes: maxMessageBytes,
  });
  return {
    push: (chunk) =>
      reader.push(chunk).map(({ header, body, oversize }) => ({
        streamId: header.readUInt32BE(4),
        type: header.readUInt8(8),
        flags: header.readUInt8(9),
        payload: body,
        oversize,
      })),
  };
}
