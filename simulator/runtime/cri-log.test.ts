import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeLog, logTime, maxLineBytes } from "./cri-log.ts";

const time = "2026-01-01T00:00:00.000000000Z";
const encode = (text: string) =>
  Buffer.from(encodeLog("stdout", Buffer.from(text), time)).toString();

/** What a reader of the log makes of it (kubelet joins P entries). */
function decode(log: Uint8Array): Buffer {
  const parts: Buffer[] = [];
  let rest = Buffer.from(log);
  while (rest.length > 0) {
    const end = rest.indexOf("\n");
    const header = `${time} stdout X `.length;
    parts.push(rest.subarray(header, end));
    if (rest.toString("latin1", header - 2, header - 1) === "F") parts.push(Buffer.from("\n"));
    rest = rest.subarray(end + 1);
  }
  return Buffer.concat(parts);
}

describe("encodeLog", () => {
  it("writes whole lines as F and an unfinished one as P", () => {
    expect(encode("a\n\nb")).toBe(`${time} stdout F a\n${time} stdout F \n${time} stdout P b\n`);
  });

  it("cuts long lines at 16 KiB", () => {
    const tags = encode(`${"x".repeat(maxLineBytes * 2 + 1)}\n`).match(/ stdout [FP] /g);
    expect(tags).toEqual([" stdout P ", " stdout P ", " stdout F "]);
  });

  it("writes nothing for nothing", () => {
    expect(encode("")).toBe("");
  });

  it("gives every byte back however the output was cut", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
        const log = Buffer.concat(chunks.map((chunk) => encodeLog("stdout", chunk, time)));
        expect(decode(log).equals(Buffer.concat(chunks))).toBe(true);
      }),
    );
  });
});

describe("logTime", () => {
  it("has nine digits of the second", () => {
    expect(logTime(1_700_000_000_123.456)).toBe("2023-11-14T22:13:20.123456000Z");
    expect(logTime(0)).toBe("1970-01-01T00:00:00.000000000Z");
  });
});
