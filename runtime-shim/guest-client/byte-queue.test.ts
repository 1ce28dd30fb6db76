import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createByteQueue } from "./byte-queue.ts";

describe("a queue of bytes", () => {
  it("gives all bytes in order, whatever their pieces", () => {
    const step = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.integer({ min: 10_000, max: 70_000 }).map((size) => new Uint8Array(size).fill(size & 255)),
      fc.constant("shift" as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = createByteQueue();
        const given: Buffer[] = [];
        const got: Buffer[] = [];
        const take = () => {
          const piece = queue.shift();
          if (piece !== undefined) got.push(piece);
          return piece;
        };
        for (const step of steps) {
          if (step === "shift") {
            take();
            continue;
          }
          given.push(Buffer.from(step));
          queue.push(Buffer.from(step));
        }
        const bytes = (list: Buffer[]) => list.reduce((sum, { length }) => sum + length, 0);
        expect(queue.length).toBe(bytes(given) - bytes(got));
        while (take() !== undefined);
        expect(Buffer.concat(got).equals(Buffer.concat(given))).toBe(true);
        expect(queue.length).toBe(0);
      }),
    );
  });

  it("gathers single bytes into few pieces that keep nothing else alive", () => {
    const queue = createByteQueue();
    const chunk = Buffer.alloc(64 << 10);
    for (let index = 0; index < chunk.length; index++) queue.push(chunk.subarray(index, index + 1));
    const pieces: Buffer[] = [];
    for (let piece = queue.shift(); piece !== undefined; piece = queue.shift()) pieces.push(piece);
    expect(pieces.length).toBeLessThanOrEqual(5);
    queue.push(chunk.subarray(0, 1));
    expect(queue.shift()?.buffer.byteLength).toBe(1);
  });
});
