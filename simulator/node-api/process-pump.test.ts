import { PassThrough, Readable, Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { pumpProcess } from "./process-pump.ts";

function client() {
  const shown: Buffer[] = [];
  const sink = () =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        shown.push(chunk);
        done();
      },
    });
  return {
    shown: () => Buffer.concat(shown).toString(),
    streams: {
      stdin: undefined,
      stdout: sink(),
      stderr: sink(),
      onResize: () => {},
      gone: new Promise<void>(() => {}),
      finish: async () => {},
    },
  };
}

describe("pumpProcess", () => {
  it("ends for a process whose silent stream ended before the client was joined", async () => {
    const stderr = new Readable({ read() {} });
    stderr.push(null);
    stderr.resume();
    await new Promise((resolve) => stderr.once("close", resolve));
    const stdout = new PassThrough();
    stdout.end("all of it\n");
    const { streams, shown } = client();
    const process = { stdin: undefined, stdout, stderr, resize: async () => {} };
    expect(await pumpProcess(streams, process, Promise.resolve())).toBe("ended");
    expect(shown()).toBe("all of it\n");
  });

  it("drops the input of a process that closed its own before the client was joined", async () => {
    const stdin = new PassThrough();
    stdin.destroy();
    const input = new PassThrough();
    const stdout = new PassThrough();
    const { streams } = client();
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const process = { stdin, stdout, stderr: undefined, resize: async () => {} };
    const pumped = pumpProcess({ ...streams, stdin: input }, process, ended);
    // More than any buffer on the way holds.
    for (let count = 0; count < 100; count += 1) {
      if (!input.write(Buffer.alloc(64 * 1024))) {
        await new Promise((resolve) => input.once("drain", resolve));
      }
    }
    stdout.end();
    end();
    expect(await pumped).toBe("ended");
  });
});
