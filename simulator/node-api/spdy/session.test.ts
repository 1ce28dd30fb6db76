import { type Duplex, duplexPair } from "node:stream";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import {
  spdyData as data,
  settleTransport as settle,
  synStream,
} from "../../../test/fakes/spdy-client.ts";
import { createFrameDecoder, encodePing, type SpdyFrame } from "./frames.ts";
import { createSpdySession, type SpdyStream } from "./session.ts";

let opened: Duplex[] = [];
afterEach(() => {
  for (const transport of opened) transport.destroy();
  opened = [];
});

/** A session, the client's end of its transport, and what the client was sent. */
function connectClient(accepts?: () => boolean) {
  const [client, transport] = duplexPair();
  opened.push(client, transport);
  const streams: SpdyStream[] = [];
  const received: SpdyFrame[] = [];
  client.on(
    "data",
    createFrameDecoder((frame) => received.push(frame)),
  );
  client.on("error", () => {});
  const session = createSpdySession({
    transport,
    onStream: (stream) => streams.push(stream),
    ...(accepts ? { accepts } : {}),
  });
  return { client, transport, session, streams, received };
}

describe("a SPDY session", () => {
  it("answers SYN_STREAM at once and hands the stream over with its headers", async () => {
    const { client, streams, received } = connectClient();
    client.write(synStream(1, { streamtype: "error", port: "80" }, true));
    await settle();
    expect(streams[0]?.headers.get("streamtype")).toBe("error");
    expect(received[0]).toMatchObject({ type: "synReply", streamId: 1 });
  });

  it("delivers what was sent, however the bytes are cut and the streams interleaved", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(1, 3, 5), fc.uint8Array({ maxLength: 500 })), {
          maxLength: 20,
        }),
        fc.array(fc.nat(), { maxLength: 30 }),
        async (writes, cuts) => {
          const { client, streams } = connectClient();
          const bytes = Buffer.concat([
            ...[1, 3, 5].map((id) => synStream(id, { streamtype: "data" }, id === 1)),
            ...writes.map(([id, chunk]) => data(id, chunk)),
            ...[1, 3, 5].map((id) => data(id, Buffer.alloc(0), true)),
          ]);
          const places = [...cuts.map((cut) => cut % bytes.length), bytes.length].sort(
            (a, b) => a - b,
          );
          let from = 0;
          for (const to of places) {
            if (to > from) client.write(bytes.subarray(from, to));
            from = to;
          }
          await settle();
          for (const stream of streams) {
            const chunks = await stream.duplex.toArray({ signal: AbortSignal.timeout(5000) });
            const expected = writes.filter(([id]) => id === stream.id).map(([, chunk]) => chunk);
            expect(Buffer.concat(chunks).equals(Buffer.concat(expected))).toBe(true);
          }
          expect(streams.map(({ id }) => id)).toEqual([1, 3, 5]);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("stops reading the connection while a stream's buffer is full, and goes on when it is read", async () => {
    const { client, transport, streams } = connectClient();
    client.write(synStream(1, { streamtype: "stdin" }, true));
    const chunk = Buffer.alloc(64 * 1024, 7);
    let sent = 0;
    for (let round = 0; round < 200; round += 1) {
      client.write(data(1, chunk), () => {
        sent += chunk.length;
      });
    }
    await settle();
    expect(transport.isPaused()).toBe(true);
    expect(sent).toBeLessThan(2 * 1024 * 1024);
    client.write(data(1, Buffer.alloc(0), true));
    let got = 0;
    for await (const piece of streams[0]?.duplex ?? []) got += (piece as Buffer).length;
    expect(got).toBe(200 * chunk.length);
  });

  it("makes a writer wait for a client that does not read", async () => {
    const { client, streams } = connectClient();
    client.write(synStream(1, { streamtype: "stdout" }, true));
    await settle();
    client.pause();
    const duplex = streams[0]?.duplex as Duplex;
    let taken = 0;
    while (taken < 100 && duplex.write(Buffer.alloc(64 * 1024))) {
      taken += 1;
      await settle();
    }
    expect(taken).toBeLessThan(10);
  });

  it("echoes the client's pings only", async () => {
    const { client, received } = connectClient();
    client.write(Buffer.concat([encodePing(1), encodePing(2), encodePing(3)]));
    await settle();
    expect(received).toEqual([
      { type: "ping", id: 1 },
      { type: "ping", id: 3 },
    ]);
  });

  it("half-closes with FIN and resets with RST_STREAM", async () => {
    const { client, streams, received } = connectClient();
    client.write(synStream(1, {}, true));
    client.write(synStream(3, {}, false));
    await settle();
    streams[0]?.duplex.end("bye");
    streams[1]?.duplex.destroy();
    await settle();
    const sent = received.filter(({ type }) => type === "data" || type === "rstStream");
    expect(sent).toContainEqual({ type: "rstStream", streamId: 3, status: 5 });
    expect(sent).toContainEqual({ type: "data", streamId: 1, fin: true, chunk: Buffer.alloc(0) });
  });

  it("refuses streams it does not accept, and goes on", async () => {
    const { client, streams, received } = connectClient(() => false);
    client.write(synStream(1, {}, true));
    client.write(encodePing(5));
    await settle();
    expect(streams).toEqual([]);
    expect(received).toEqual([
      { type: "rstStream", streamId: 1, status: 3 },
      { type: "ping", id: 5 },
    ]);
  });

  it("passes over late bytes of a stream it closed", async () => {
    const { client, streams, received, transport } = connectClient();
    client.write(synStream(1, {}, true));
    await settle();
    streams[0]?.duplex.destroy();
    client.write(data(1, Buffer.alloc(1000)));
    client.write(encodePing(7));
    await settle();
    expect(received.at(-1)).toEqual({ type: "ping", id: 7 });
    expect(transport.destroyed).toBe(false);
  });

  it("closes the connection and its streams on a protocol error", async () => {
    const { client, streams, session } = connectClient();
    client.write(synStream(1, {}, true));
    await settle();
    client.write(synStream(1, {}, false));
    await session.closed;
    expect(streams[0]?.duplex.destroyed).toBe(true);
  });

  it("destroys its streams when the client goes", async () => {
    const { client, streams, session } = connectClient();
    client.write(synStream(1, {}, true));
    await settle();
    client.end();
    await session.closed;
    expect(streams[0]?.duplex.destroyed).toBe(true);
  });

  it("sends everything before it ends, and reads on until the client closes", async () => {
    const { client, streams, session, received } = connectClient();
    client.write(synStream(1, {}, true));
    await settle();
    streams[0]?.duplex.end(Buffer.alloc(300_000, 1));
    session.end();
    client.write(Buffer.alloc(100_000));
    await settle();
    const bytes = received.reduce(
      (sum, frame) => sum + (frame.type === "data" ? frame.chunk.length : 0),
      0,
    );
    expect(bytes).toBe(300_000);
    client.end();
    await session.closed;
  });
});
