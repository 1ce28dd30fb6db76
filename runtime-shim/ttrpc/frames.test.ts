import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createFrameDecoder, encodeFrame, MessageType, maxMessageBytes } from "./frames.ts";

describe("ttrpc frames", () => {
  it("have the header of PROTOCOL.md", () => {
    expect([...encodeFrame(3, MessageType.request, Buffer.from("hi"), 2)]).toEqual([
      0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 0x68, 0x69,
    ]);
  });

  it("come out the same however the bytes are split", () => {
    const frame = fc.record({
      streamId: fc.integer({ min: 0, max: 0xffffffff }),
      type: fc.integer({ min: 0, max: 255 }),
      payload: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (frames, steps) => {
          const bytes = Buffer.concat(
            frames.map(({ streamId, type, payload }) => encodeFrame(streamId, type, payload)),
          );
          const decoder = createFrameDecoder();
          const decoded = [];
          for (let offset = 0, i = 0; offset < bytes.length; i++) {
            const step = steps[i % steps.length] as number;
            decoded.push(...decoder.push(bytes.subarray(offset, offset + step)));
            offset += step;
          }
          expect(
            decoded.map(({ streamId, type, payload }) => ({
              streamId,
              type,
              payload: [...payload],
            })),
          ).toEqual(frames.map((f) => ({ ...f, payload: [...f.payload] })));
        },
      ),
    );
  });

  it("skips a message above the cap and goes on with the next", () => {
    const decoder = createFrameDecoder();
    const header = Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 1, 1, 0]);
    header.writeUInt32BE(maxMessageBytes + 1);
    const first = decoder.push(header);
    expect(first).toMatchObject([{ streamId: 1, oversize: true }]);
    const chunk = Buffer.alloc(1 << 20);
    for (let i = 0; i < 4; i++) expect(decoder.push(chunk)).toEqual([]);
    const rest = Buffer.concat([Buffer.alloc(1), encodeFrame(3, 1, Buffer.from("x"))]);
    expect(decoder.push(rest)).toMatchObject([{ streamId: 3, oversize: false }]);
  });
});
