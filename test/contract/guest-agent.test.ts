/** The agent's C parsers, compiled for this machine: they agree with the shim's encoders and survive garbage. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeFields } from "../../runtime-shim/guest-client/fields.ts";
import { encodeGuestFrame } from "../../runtime-shim/guest-client/frames.ts";
import {
  FrameKind,
  maxDataBytes,
  maxFrameLength,
} from "../../runtime-shim/guest-client/protocol.ts";

const guest = join(import.meta.dirname, "..", "..", "runtime-shim", "guest");
const work = mkdtempSync(join(tmpdir(), "katasim-parsers-"));
const program = join(work, "parsers");

beforeAll(() => {
  const sources = ["test/parsers.c", "bytes.c", "fields.c", "frames.c", "mount-options.c"];
  const base = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-o", program];
  const paths = sources.map((source) => join(guest, source));
  try {
    execFileSync(
      "gcc",
      ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", ...base, ...paths],
      {
        stdio: "pipe",
      },
    );
  } catch {
    console.warn("gcc has no sanitizers here: the parsers run without them");
    execFileSync("gcc", [...base, ...paths]);
  }
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

function parse(args: readonly string[], input: Buffer): string[] {
  const output = execFileSync(program, args, { input, maxBuffer: 64 << 20 }).toString();
  return output.split("\n").slice(0, -1);
}

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));
/** Frames a host may send. */
const hostFrame = fc
  .record({ id: fc.nat(0xffffffff), body: bytes(300), kind: fc.constantFrom(1, 4, 5, 6) })
  .map(({ id, body, kind }) => {
    if (kind === FrameKind.request && body.length === 0)
      return { kind, id, body: Buffer.from([1]) };
    if (kind === FrameKind.window)
      return { kind, id, body: Buffer.concat([body, Buffer.alloc(4)]).subarray(0, 4) };
    if (kind === FrameKind.reset) return { kind, id, body: Buffer.alloc(0) };
    return { kind, id, body };
  });

describe("the agent's frame decoder", () => {
  it("reads what the shim writes, cut anywhere", () => {
    fc.assert(
      fc.property(
        fc.array(hostFrame, { maxLength: 8 }),
        fc.integer({ min: 1, max: 400 }),
        (frames, piece) => {
          const wire = Buffer.concat(
            frames.map(({ kind, id, body }) => encodeGuestFrame(kind, id, body)),
          );
          const expected = frames.map(
            ({ kind, id, body }) => `frame ${kind} ${id} ${body.toString("hex")}`,
          );
          expect(parse(["frames", `${piece}`], wire)).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("ends at random bytes without reading past them", () => {
    fc.assert(
      fc.property(bytes(2000), fc.integer({ min: 1, max: 500 }), (garbage, piece) => {
        const lines = parse(["frames", `${piece}`], garbage);
        expect(lines).not.toContain("stuck");
        expect(lines.every((line) => line === "malformed" || line.startsWith("frame "))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it("takes a frame of the largest size and refuses a longer one", () => {
    const largest = encodeGuestFrame(1, 7, Buffer.alloc(maxFrameLength - 5, 1));
    expect(parse(["frames", "65536"], largest)[0]).toMatch(/^frame 1 7 0101/);
    const longer = Buffer.from(largest);
    longer.writeUInt32BE(maxFrameLength + 1, 0);
    expect(parse(["frames", "65536"], longer)).toEqual(["malformed"]);
  });

  it.each([
    ["a body shorter than kind and id", Buffer.from([0, 0, 0, 4, 1, 0, 0, 0])],
    ["a reply from the host", encodeGuestFrame(FrameKind.reply, 1, Buffer.alloc(4))],
    ["an event from the host", encodeGuestFrame(FrameKind.event, 0, Buffer.alloc(4))],
    ["an unknown kind", encodeGuestFrame(9, 1)],
    ["a request without a verb", encodeGuestFrame(FrameKind.request, 1)],
    ["a window of three bytes", encodeGuestFrame(FrameKind.window, 1, Buffer.alloc(3))],
    ["a reset with a body", encodeGuestFrame(FrameKind.reset, 1, Buffer.alloc(1))],
    ["too much data", encodeGuestFrame(FrameKind.data, 1, Buffer.alloc(maxDataBytes + 1))],
  ])("refuses %s", (_name, wire) => {
    expect(parse(["frames", "100000"], wire)).toEqual(["malformed"]);
  });
});

describe("the agent's field reader", () => {
  it("reads what the shim writes", () => {
    const field = fc.tuple(fc.integer({ min: 0, max: 255 }), bytes(40));
    fc.assert(
      fc.property(fc.array(field, { maxLength: 10 }), (list) => {
        const expected = list.map(([tag, value]) => {
          const text = value.includes(0) ? "bytes" : "text";
          return `field ${tag} ${text} ${value.length === 8 ? "number" : "-"} ${value.toString("hex")}`;
        });
        expect(parse(["fields"], encodeFields(list))).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it("ends at random bytes without reading past them", () => {
    fc.assert(
      fc.property(bytes(200), (garbage) => {
        const lines = parse(["fields"], garbage);
        expect(lines.every((line) => line === "malformed" || line.startsWith("field "))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe("the agent's mount options", () => {
  const parseOptions = (...lines: string[]) => parse(["options"], Buffer.from(lines.join("\n")));

  it("turns words into flags and keeps the rest as data", () => {
    // MS_RDONLY 1, MS_NOSUID 2, MS_NODEV 4, MS_NOEXEC 8, MS_BIND 1000, MS_REC 4000, MS_STRICTATIME 1000000
    expect(
      parseOptions(
        "nosuid,noexec,nodev,ro",
        "ro,rw",
        "rbind,rprivate,ro",
        "nosuid,strictatime,mode=755,size=65536k",
        ",,newinstance,,",
      ),
    ).toEqual(["f ", "0 ", "5001 ", "1000002 mode=755,size=65536k", "0 newinstance"]);
  });

  it("refuses data that does not fit instead of cutting it", () => {
    expect(parseOptions(`x=${"y".repeat(600)}`)).toEqual(["too long"]);
  });
});
