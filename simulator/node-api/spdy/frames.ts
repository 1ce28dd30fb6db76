/**
 * SPDY/3.1 framing: a push decoder that takes bytes in any pieces, and pure encoders.
 * Source: draft-mbelshe-httpbis-spdy-00, sections 2.2 and 2.6. Header blocks stay compressed here.
 */
import { SpdyProtocolError } from "./header-block.ts";

export type SpdyFrame =
  | {
      readonly type: "synStream" | "synReply" | "headers";
      readonly streamId: number;
      readonly fin: boolean;
      readonly block: Buffer;
    }
  | { readonly type: "rstStream"; readonly streamId: number; readonly status: number }
  | { readonly type: "ping"; readonly id: number }
  | { readonly type: "goaway"; readonly lastGoodStreamId: number; readonly status: number }
  /** SETTINGS, WINDOW_UPDATE, CREDENTIAL and unknown types: read over, as the draft asks. */
  | { readonly type: "ignored"; readonly controlType: number }
  /** A piece of a DATA frame; `fin` comes with the last piece only, which may be empty. */
  | {
      readonly type: "data";
      readonly streamId: number;
      readonly fin: boolean;
      readonly chunk: Buffer;
    };

/** RST_STREAM status codes, section 2.6.3. */
export const resetStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
} as const;

const controlType = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  ping: 6,
  goaway: 7,
  headers: 8,
} as const;

const version = 3;
const finFlag = 0x01;
const frameHeaderBytes = 8;
const streamIdMask = 0x7fffffff;
// Control frames are held until whole, so they need a cap; DATA frames are passed on in pieces.
const maxControlFrameBytes = 64 * 1024;

/** The returned function throws SpdyProtocolError; nothing may be pushed after that. */
export function createFrameDecoder(onFrame: (frame: SpdyFrame) => void): (chunk: Buffer) => void {
  let held: Buffer = Buffer.alloc(0);
  let data: { streamId: number; fin: boolean; remaining: number } | undefined;

  const takeData = (bytes: Buffer): Buffer => {
    if (data === undefined) return bytes;
    const chunk = bytes.subarray(0, data.remaining);
    data.remaining -= chunk.length;
    const { streamId, fin, remaining } = data;
    if (remaining === 0) data = undefined;
    onFrame({ type: "data", streamId, fin: fin && remaining === 0, chunk });
    return bytes.subarray(chunk.length);
  };

  return (chunk) => {
    let rest = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    while (rest.length > 0) {
      if (data !== undefined) {
        rest = takeData(rest);
        continue;
      }
      if (rest.length < frameHeaderBytes) break;
      const flags = rest.readUInt8(4);
      const length = rest.readUIntBE(5, 3);
      if ((rest.readUInt8(0) & 0x80) === 0) {
        const streamId = rest.readUInt32BE(0);
        data = { streamId, fin: (flags & finFlag) !== 0, remaining: length };
        rest = rest.subarray(frameHeaderBytes);
        // An empty DATA frame has no bytes to wait for.
        if (length === 0) rest = takeData(rest);
        continue;
      }
      if (length > maxControlFrameBytes) {
        throw new SpdyProtocolError(`a control frame of ${length} bytes is too large`);
      }
      if (rest.length < frameHeaderBytes + length) break;
      const payload = rest.subarray(frameHeaderBytes, frameHeaderBytes + length);
      const frame = parseControl(
        rest.readUInt16BE(0) & 0x7fff,
        rest.readUInt16BE(2),
        flags,
        payload,
      );
      rest = rest.subarray(frameHeaderBytes + length);
      onFrame(frame);
    }
    // A copy: the slice would keep the whole chunk alive.
    held = Buffer.from(rest);
  };
}

function parseControl(
  frameVersion: number,
  type: number,
  flags: number,
  payload: Buffer,
): SpdyFrame {
  if (frameVersion !== version) {
    throw new SpdyProtocolError(`SPDY version ${frameVersion} is not spoken here, only ${version}`);
  }
  const fin = (flags & finFlag) !== 0;
  const word = (offset: number): number => {
    if (payload.length < offset + 4) {
      throw new SpdyProtocolError(`a control frame of type ${type} is cut short`);
    }
    return payload.readUInt32BE(offset) & streamIdMask;
  };
  switch (type) {
    case controlType.synStream: {
      // Stream id, associated stream id, priority and credential slot.
      const streamId = word(0);
      word(6);
      return { type: "synStream", streamId, fin, block: Buffer.from(payload.subarray(10)) };
    }
    case controlType.synReply:
    case controlType.headers:
      return {
        type: type === controlType.headers ? "headers" : "synReply",
        streamId: word(0),
        fin,
        block: Buffer.from(payload.subarray(4)),
      };
    case controlType.rstStream:
      return { type: "rstStream", streamId: word(0), status: word(4) };
    case controlType.ping:
      word(0);
      return { type: "ping", id: payload.readUInt32BE(0) };
    case controlType.goaway:
      return { type: "goaway", lastGoodStreamId: word(0), status: word(4) };
    default:
      return { type: "ignored", controlType: type };
  }
}

export function encodeSynReply(streamId: number, block: Buffer): Buffer {
  return control(controlType.synReply, Buffer.concat([uint32(streamId), block]));
}

export function encodeRstStream(streamId: number, status: number): Buffer {
  return control(controlType.rstStream, Buffer.concat([uint32(streamId), uint32(status)]));
}

export function encodePing(id: number): Buffer {
  return control(controlType.ping, uint32(id));
}

/** The eight bytes before a DATA frame's payload of `length` bytes (below 2^24). */
export function encodeDataHeader(streamId: number, length: number, fin: boolean): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt8(fin ? finFlag : 0, 4);
  header.writeUIntBE(length, 5, 3);
  return header;
}

function control(type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt16BE(0x8000 | version, 0);
  header.writeUInt16BE(type, 2);
  header.writeUIntBE(payload.length, 5, 3);
  return Buffer.concat([header, payload]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
