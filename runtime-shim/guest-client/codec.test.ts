import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFields, encodeFields } from "./fields.ts";
import { createGuestFrameDecoder, encodeGuestFrame } from "./frames.ts";
import { FrameKind, maxDataBytes, maxFrameLength } from "./protocol.ts";

const code = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

describe("guest frames", () => {
  it("come out the same however the bytes are split", () => {
    const frame = fc.oneof(
      fc.record({
        kind: fc.constant(FrameKind.data),
        id: fc.integer({ min: 0, max: 0xffffffff }),
        body: fc.uint8Array({ maxLength: 400 }),
      }),
      fc.record({
        kind: fc.constant(FrameKind.reply),
        id: fc.nat(),
        body: fc.uint8Array({ minLength: 4, maxLength: 50 }),
      }),
    );
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
        (frames, steps) => {
          const bytes = Buffer.concat(
            frames.map(({ kind, id, body }) => encodeGuestFrame(kind, id, Buffer.from(body))),
          );
          const decoder = createGuestFrameDecoder();
          const decoded = [];
          for (let offset = 0, i = 0; offset < bytes.length; i++) {
            const step = steps[i % steps.length] as number;
            decoded.push(...decoder.push(bytes.subarray(offset, offset + step)));
            offset += step;
          }
          expect(decoded.map((f) => ({ ...f, body: [...f.body] }))).toEqual(
            frames.map((f) => ({ ...f, body: [...f.body] })),
          );
        },
      ),
    );
  });

  it("survive any bytes: frames or a protocol error, nothing else", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
        const decoder = createGuestFrameDecoder();
        expect([undefined, "GUEST_PROTOCOL"]).toContain(
          code(() => {
            for (const chunk of chunks) decoder.push(Buffer.from(chunk));
          }),
        );
      }),
    );
  });

  it("come whole or not at all, however many and however cut off the last one is", () => {
    const body = fc.uint8Array({ minLength: 4, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(body, { maxLength: 400 }), body, fc.nat(), (flood, last, cut) => {
        const decoder = createGuestFrameDecoder();
        const frames = flood.map((b) => encodeGuestFrame(FrameKind.data, 7, Buffer.from(b)));
        const half = encodeGuestFrame(FrameKind.data, 8, Buffer.from(last));
        const at = cut % half.length;
        const decoded = decoder.push(Buffer.concat([...frames, half.subarray(0, at)]));
        expect(decoded).toHaveLength(flood.length);
        expect(decoder.push(half.subarray(at)).map(({ id }) => id)).toEqual([8]);
      }),
      { numRuns: 50 },
    );
  });

  it("of any size but the legal ones are refused by their header alone", () => {
    const length = fc.oneof(
      fc.integer({ min: 0, max: 4 }),
      fc.integer({ min: maxFrameLength + 1, max: 0xffffffff }),
    );
    fc.assert(
      fc.property(length, (claimed) => {
        const header = Buffer.alloc(4);
        header.writeUInt32BE(claimed);
        expect(code(() => createGuestFrameDecoder().push(header))).toBe("GUEST_PROTOCOL");
      }),
    );
  });

  it.each([
    ["a length below its own header", [0, 0, 0, 4]],
    ["a length above the cap", [0xff, 0xff, 0xff, 0xff]],
    ["an unknown kind", [0, 0, 0, 5, 9, 0, 0, 0, 1]],
    ["a request from the guest", [0, 0, 0, 6, 1, 0, 0, 0, 1, 1]],
    ["a reply without a status", [0, 0, 0, 6, 2, 0, 0, 0, 1, 0]],
    ["a window of the wrong size", [0, 0, 0, 6, 5, 0, 0, 0, 1, 0]],
  ])("are refused for %s", (_, bytes) => {
    expect(code(() => createGuestFrameDecoder().push(Buffer.from(bytes)))).toBe("GUEST_PROTOCOL");
  });

  it("are refused with more data than one frame may hold", () => {
    const frame = encodeGuestFrame(FrameKind.data, 1, Buffer.alloc(maxDataBytes + 1));
    expect(code(() => createGuestFrameDecoder().push(frame))).toBe("GUEST_PROTOCOL");
    expect(code(() => encodeGuestFrame(FrameKind.data, 1, Buffer.alloc(maxFrameLength)))).toBe(
      "GUEST_PROTOCOL",
    );
  });
});

describe("fields", () => {
  it("keep texts, numbers and the order of repeated tags", () => {
    const fields = decodeFields(
      encodeFields([
        [1, "ä"],
        [2, 7],
        [3, undefined],
        [2, true],
        [4, -1n],
      ]),
    );
    expect(fields.text(1)).toBe("ä");
    expect(fields.numbers(2)).toEqual([7, 1]);
    expect(fields.number(3)).toBeUndefined();
    expect(() => fields.number(4)).toThrow("bad number");
  });

  it("group what belongs to one repeated message", () => {
    const fields = decodeFields(
      encodeFields([
        [1, "a"],
        [2, 1],
        [1, "b"],
        [2, 2],
      ]),
    );
    expect(fields.groups(1).map((group) => [group.text(1), group.number(2)])).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
  });

  it("survive any bytes: fields or a protocol error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect([undefined, "GUEST_PROTOCOL"]).toContain(
          code(() => decodeFields(Buffer.from(bytes))),
        );
      }),
    );
  });

  it("never carry a NUL in a text", () => {
    expect(code(() => encodeFields([[1, "a\0b"]]))).toBe("GUEST_PROTOCOL");
  });
});
