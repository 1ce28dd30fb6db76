import { constants, createDeflate, createInflate } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { headerDictionary } from "./dictionary.ts";
import {
  createFrameDecoder,
  encodeDataHeader,
  encodePing,
  encodeRstStream,
  type SpdyFrame,
} from "./frames.ts";
import { createHeaderReader, createHeaderWriter, SpdyProtocolError } from "./header-block.ts";

/** Frames with the pieces of DATA frames joined again. */
function joined(frames: readonly SpdyFrame[]): SpdyFrame[] {
  const result: SpdyFrame[] = [];
  for (const frame of frames) {
    const last = result.at(-1);
    if (
      frame.type === "data" &&
      last?.type === "data" &&
      last.streamId === frame.streamId &&
      !last.fin
    ) {
      result[result.length - 1] = { ...frame, chunk: Buffer.concat([last.chunk, frame.chunk]) };
    } else result.push(frame);
  }
  return result;
}

function decodeInPieces(bytes: Buffer, cuts: readonly number[]): SpdyFrame[] {
  const frames: SpdyFrame[] = [];
  const decode = createFrameDecoder((frame) => frames.push(frame));
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    if (to > from) decode(bytes.subarray(from, to));
    from = to;
  }
  return joined(frames);
}

const dataFrame = fc
  .tuple(fc.integer({ min: 1, max: 1000 }), fc.uint8Array({ maxLength: 300 }))
  .map(([streamId, bytes]): { bytes: Buffer; frame: SpdyFrame } => ({
    // Every DATA frame ends its stream here, so that joining never crosses a frame.
    bytes: Buffer.concat([encodeDataHeader(streamId, bytes.length, true), bytes]),
    frame: { type: "data", streamId, fin: true, chunk: Buffer.from(bytes) },
  }));
const pingFrame = fc.integer({ min: 0, max: 0xffffffff }).map((id) => ({
  bytes: encodePing(id),
  frame: { type: "ping", id } as SpdyFrame,
}));
const resetFrame = fc
  .tuple(fc.integer({ min: 1, max: 0x7fffffff }), fc.integer({ min: 1, max: 11 }))
  .map(([streamId, status]) => ({
    bytes: encodeRstStream(streamId, status),
    frame: { type: "rstStream", streamId, status } as SpdyFrame,
  }));

describe("the SPDY frame decoder", () => {
  it("reads the same frames however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(dataFrame, pingFrame, resetFrame), { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        (items, cuts) => {
          const bytes = Buffer.concat(items.map((item) => item.bytes));
          expect(decodeInPieces(bytes, cuts)).toEqual(items.map((item) => item.frame));
        },
      ),
    );
  });

  it("never throws anything but a protocol error on arbitrary bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.array(fc.nat(), { maxLength: 10 }),
        (bytes, cuts) => {
          try {
            decodeInPieces(Buffer.from(bytes), cuts);
          } catch (error) {
            expect(error).toBeInstanceOf(SpdyProtocolError);
          }
        },
      ),
    );
  });

  it("refuses another SPDY version", () => {
    const frame = encodePing(1);
    frame.writeUInt16BE(0x8002, 0);
    expect(() => decodeInPieces(frame, [])).toThrow("SPDY version 2");
  });

  it("refuses a control frame that would have to be held in memory", () => {
    const frame = encodePing(1);
    frame.writeUIntBE(0xffffff, 5, 3);
    expect(() => decodeInPieces(frame, [])).toThrow("too large");
  });

  it("passes a large data frame on before it is whole", () => {
    const frames: SpdyFrame[] = [];
    const decode = createFrameDecoder((frame) => frames.push(frame));
    decode(encodeDataHeader(1, 0xffffff, true));
    decode(Buffer.alloc(10));
    expect(frames).toEqual([{ type: "data", streamId: 1, fin: false, chunk: Buffer.alloc(10) }]);
  });
});

const headersArbitrary = fc.dictionary(
  fc.stringMatching(/^[a-z][a-z-]{0,20}$/),
  fc.string({ maxLength: 200, unit: "grapheme" }),
  { maxKeys: 8, noNullPrototype: true },
);

/** A peer's compressor: one zlib stream for the connection, as Go's spdystream keeps it. */
function createPeerWriter() {
  const deflate = createDeflate({
    dictionary: headerDictionary,
    level: constants.Z_BEST_COMPRESSION,
  });
  const out: Buffer[] = [];
  deflate.on("data", (chunk: Buffer) => out.push(chunk));
  return (headers: Record<string, string>) =>
    new Promise<Buffer>((resolve) => {
      const parts: Buffer[] = [];
      const add = (value: number | string) => {
        const text = typeof value === "string" ? Buffer.from(value) : Buffer.alloc(0);
        const length = Buffer.alloc(4);
        length.writeUInt32BE(typeof value === "number" ? value : text.length);
        parts.push(length, text);
      };
      const entries = Object.entries(headers);
      add(entries.length);
      for (const [name, value] of entries) {
        add(name);
        add(value);
      }
      deflate.write(Buffer.concat(parts));
      deflate.flush(constants.Z_SYNC_FLUSH, () =>
        setImmediate(() => resolve(Buffer.concat(out.splice(0)))),
      );
    });
}

describe("SPDY header blocks", () => {
  it("are read from a peer that keeps one zlib stream", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(headersArbitrary, { minLength: 1, maxLength: 8 }),
        async (blocks) => {
          const write = createPeerWriter();
          const read = createHeaderReader();
          for (const headers of blocks) {
            expect(Object.fromEntries(read(await write(headers)))).toEqual(headers);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it("are read beyond the 32 KiB a compressor may look back", async () => {
    const write = createPeerWriter();
    const read = createHeaderReader();
    for (let round = 0; round < 6; round += 1) {
      const headers = {
        streamtype: "data",
        filler: `${round}`.repeat(20_000),
        requestid: `${round}`,
      };
      expect(Object.fromEntries(read(await write(headers)))).toEqual(headers);
    }
  });

  it("can be read by a plain zlib stream", async () => {
    const write = createHeaderWriter();
    const inflate = createInflate({ dictionary: headerDictionary });
    const blocks = [write(new Map()), write(new Map([["a", "b"]]))];
    const chunks: Buffer[] = [];
    inflate.on("data", (chunk: Buffer) => chunks.push(chunk));
    for (const block of blocks) await new Promise((resolve) => inflate.write(block, resolve));
    expect(Buffer.concat(chunks).toString("hex")).toBe(
      "00000000" + "00000001" + "0000000161" + "0000000162",
    );
  });

  it("are bounded after decompression", async () => {
    const block = await createPeerWriter()({ bomb: "0".repeat(1_000_000) });
    expect(block.length).toBeLessThan(4000);
    expect(() => createHeaderReader()(block)).toThrow(SpdyProtocolError);
  });

  it("never throw anything but a protocol error on arbitrary bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const read = createHeaderReader();
        const prefix = Buffer.from([0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2]);
        try {
          read(Buffer.concat([prefix, bytes, Buffer.from([0, 0, 0xff, 0xff])]));
        } catch (error) {
          expect(error).toBeInstanceOf(SpdyProtocolError);
        }
      }),
    );
  });
});
