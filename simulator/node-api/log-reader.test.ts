import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  type FollowedContainer,
  findTailStart,
  type LogReadOptions,
  readLog,
} from "./log-reader.ts";

const folder = mkdtempSync(join(tmpdir(), "log-reader-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "0.log");
const line = (text: string) => `2026-01-02T03:04:05.000000001Z stdout F ${text}\n`;

async function read(options: Partial<LogReadOptions>) {
  const chunks: Buffer[] = [];
  const whole = { timestamps: false, ...options };
  const never = new AbortController().signal;
  for await (const chunk of readLog(path, whole, undefined, never)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("readLog", () => {
  it("prints the last lines, the unfinished one included", async () => {
    writeFileSync(path, line("a") + line("b") + line("c").slice(0, -1));
    expect(await read({})).toBe("a\nb\nc");
    expect(await read({ tailLines: 2 })).toBe("b\nc");
    expect(await read({ tailLines: 0 })).toBe("");
    expect(await read({ tailLines: 99 })).toBe("a\nb\nc");
  });

  it("reads a file that is not there as empty", async () => {
    rmSync(path, { force: true });
    expect(await read({})).toBe("");
  });

  it("finds the tail where counting from the front finds it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 9000 }), { maxLength: 40 }),
        fc.boolean(),
        fc.integer({ min: 0, max: 45 }),
        async (lengths, finished, tailLines) => {
          const text =
            lengths.map((length) => `${"x".repeat(length)}\n`).join("") + (finished ? "" : "y");
          writeFileSync(path, text);
          const starts = [0];
          for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1))
            starts.push(at + 1);
          if (starts.at(-1) === text.length) starts.pop();
          const expected = tailLines === 0 ? text.length : (starts.at(-tailLines) ?? 0);
          const file = await open(path);
          expect(await findTailStart(file, text.length, tailLines)).toBe(
            tailLines > starts.length ? 0 : expected,
          );
          await file.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it("follows what is appended, and ends once the container has and all is read", async () => {
    writeFileSync(path, line("first"));
    let running = true;
    let poke = () => {};
    const follow: FollowedContainer = {
      isRunning: async () => running,
      onChange: (listener) => {
        poke = listener;
        return () => {};
      },
    };
    const pieces: string[] = [];
    const options = { timestamps: false };
    for await (const chunk of readLog(path, options, follow, new AbortController().signal)) {
      pieces.push(chunk.toString());
      if (pieces.length === 1) {
        appendFileSync(path, line("second"));
        poke();
      } else if (pieces.length === 2) {
        // The last words, and the end, before the reader looks again.
        appendFileSync(path, line("third"));
        running = false;
        poke();
      }
    }
    expect(pieces.join("")).toBe("first\nsecond\nthird\n");
  });

  it("stops following when the client goes", async () => {
    writeFileSync(path, line("only"));
    const gone = new AbortController();
    let stopped = false;
    const follow: FollowedContainer = {
      isRunning: async () => true,
      onChange: () => () => {
        stopped = true;
      },
    };
    const pieces: string[] = [];
    for await (const chunk of readLog(path, { timestamps: false }, follow, gone.signal)) {
      pieces.push(chunk.toString());
      setImmediate(() => gone.abort());
    }
    expect(pieces).toEqual(["only\n"]);
    expect(stopped).toBe(true);
  });
});
