import { duplexPair } from "node:stream";
import { describe, expect, it } from "vitest";
import { createManualClock } from "../../test/fakes/manual-clock.ts";
import { settleTransport, spdyData, synStream } from "../../test/fakes/spdy-client.ts";
import { createFrameDecoder, type SpdyFrame } from "./spdy/frames.ts";
import { openSpdyStreams } from "./spdy-streams.ts";
import { exitCodeStatus } from "./status.ts";

const options = { stdin: true, stdout: true, stderr: false, tty: true };

function connectClient() {
  const [client, transport] = duplexPair();
  const clock = createManualClock();
  const received: SpdyFrame[] = [];
  client.on(
    "data",
    createFrameDecoder((frame) => received.push(frame)),
  );
  return {
    client,
    transport,
    clock,
    received,
    opening: openSpdyStreams(transport, options, clock),
  };
}

const roles = ["error", "stdin", "stdout", "resize"];
const synAll = () =>
  Buffer.concat(
    roles.map((streamtype, index) => synStream(2 * index + 1, { streamtype }, index === 0)),
  );

describe("exec streams over SPDY", () => {
  it("stand once the client has opened every one of them", async () => {
    const { client, opening } = connectClient();
    client.write(synAll());
    client.write(spdyData(3, Buffer.from("input"), true));
    client.write(spdyData(7, Buffer.from('{"Width":80,"Height":24}')));
    const streams = await opening;
    const sizes: number[][] = [];
    streams.onResize((columns, rows) => sizes.push([columns, rows]));
    expect(String(Buffer.concat((await streams.stdin?.toArray()) ?? []))).toBe("input");
    expect(sizes).toEqual([[80, 24]]);
    client.end();
    await streams.gone;
  });

  it("deliver all output before the status, and the status before the end", async () => {
    const { client, opening, received } = connectClient();
    client.write(synAll());
    const streams = await opening;
    streams.stdout?.write("some ");
    streams.stdout?.write("output");
    await streams.finish(exitCodeStatus(["sh"], 7));
    await settleTransport();
    const data = received.flatMap((frame) => (frame.type === "data" ? [frame] : []));
    const output = data.filter(({ streamId }) => streamId === 5);
    const status = data.filter(({ streamId }) => streamId === 1);
    expect(output.map(({ chunk }) => String(chunk)).join("")).toBe("some output");
    expect(data.indexOf(status[0] as never)).toBeGreaterThan(data.indexOf(output.at(-1) as never));
    expect(JSON.parse(status.map(({ chunk }) => String(chunk)).join(""))).toMatchObject({
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "7" }] },
    });
    client.end();
    await streams.gone;
  });

  it("are given up when the client does not open them in time", async () => {
    const { client, transport, clock, opening } = connectClient();
    client.write(synStream(1, { streamtype: "error" }, true));
    const refused = expect(opening).rejects.toThrow(
      "timed out waiting for client to create streams",
    );
    await settleTransport();
    await clock.advance(30_000);
    await refused;
    expect(transport.destroyed).toBe(true);
  });

  it("are given up when the client goes first", async () => {
    const { client, opening } = connectClient();
    const refused = expect(opening).rejects.toThrow("went away");
    client.end();
    await refused;
  });
});
