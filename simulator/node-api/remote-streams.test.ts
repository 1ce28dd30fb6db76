import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createResizeDecoder, createResizeRelay, parseStreamOptions } from "./remote-streams.ts";

describe("resize messages", () => {
  it("give the same sizes however the bytes are cut", () => {
    const size = fc.integer({ min: 1, max: 0xffff });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(size, size), { maxLength: 10 }),
        fc.array(fc.nat()),
        (sizes, cuts) => {
          const text = sizes
            .map(([Width, Height]) => `${JSON.stringify({ Width, Height })}\n`)
            .join("");
          const seen: Array<[number, number]> = [];
          const decode = createResizeDecoder((columns, rows) => seen.push([columns, rows]));
          const places = [...cuts.map((cut) => cut % (text.length + 1)), text.length].sort(
            (a, b) => a - b,
          );
          let from = 0;
          for (const to of places) {
            decode(Buffer.from(text.slice(from, to)));
            from = to;
          }
          expect(seen).toEqual(sizes);
        },
      ),
    );
  });

  it("of no size, or of none at all, are left out", () => {
    const seen: number[] = [];
    const decode = createResizeDecoder((columns) => seen.push(columns));
    for (const text of [
      '{"Width":0,"Height":0}',
      "{}",
      "}{",
      '{"Width":"a","Height":1}',
      "x".repeat(9999),
    ]) {
      decode(Buffer.from(text));
    }
    decode(Buffer.from('{"Width":80,"Height":24}'));
    expect(seen).toEqual([80]);
  });

  it("that come before anyone listens are kept, the latest only", () => {
    const relay = createResizeRelay();
    relay.decode(Buffer.from('{"Width":1,"Height":2}{"Width":3,"Height":4}'));
    const seen: number[][] = [];
    relay.onResize((columns, rows) => seen.push([columns, rows]));
    relay.decode(Buffer.from('{"Width":5,"Height":6}'));
    expect(seen).toEqual([
      [3, 4],
      [5, 6],
    ]);
  });
});

describe("stream options", () => {
  it("have no error output with a terminal", () => {
    const query = new URLSearchParams("input=1&output=1&error=1&tty=1");
    expect(parseStreamOptions(query)).toEqual({
      stdin: true,
      stdout: true,
      stderr: false,
      tty: true,
    });
  });

  it("must ask for at least one stream", () => {
    expect(() => parseStreamOptions(new URLSearchParams("tty=1"))).toThrow("at least 1 of stdin");
  });
});
