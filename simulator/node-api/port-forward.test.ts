import { type Duplex, duplexPair } from "node:stream";
import { describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { createManualClock } from "../../test/fakes/manual-clock.ts";
import { settleTransport, spdyData, synStream } from "../../test/fakes/spdy-client.ts";
import { parsePort, servePortForward } from "./port-forward.ts";
import { parsePorts } from "./port-forward-channels.ts";
import { createFrameDecoder } from "./spdy/frames.ts";

/** A client, what it was sent by stream, and the pod's ends of the connections made for it. */
function connectClient(connect?: (port: number) => Promise<Duplex>) {
  const [client, transport] = duplexPair();
  const clock = createManualClock();
  const pods: Array<{ port: number; end: Duplex; ours: Duplex }> = [];
  const received = new Map<number, string>();
  const ended = new Set<number>();
  client.on(
    "data",
    createFrameDecoder((frame) => {
      if (frame.type === "rstStream") ended.add(frame.streamId);
      if (frame.type !== "data") return;
      received.set(frame.streamId, `${received.get(frame.streamId) ?? ""}${frame.chunk}`);
      if (frame.fin) ended.add(frame.streamId);
    }),
  );
  const target = {
    sandboxId: "box",
    connect:
      connect ??
      (async (port: number) => {
        const [ours, end] = duplexPair();
        pods.push({ port, end, ours });
        return ours;
      }),
  };
  const served = servePortForward(transport, target, clock, silentLogger);
  return { client, clock, pods, received, ended, served };
}

const pair = (ids: readonly [number, number], headers: Record<string, string>, isFirst: boolean) =>
  Buffer.concat([
    synStream(ids[0], { streamtype: "error", ...headers }, isFirst),
    synStream(ids[1], { streamtype: "data", ...headers }, false),
  ]);

describe("port-forward over SPDY", () => {
  it("keeps connections apart by request id, half-closes included", async () => {
    const { client, pods, received, ended, served } = connectClient();
    client.write(pair([1, 3], { port: "80", requestid: "0" }, true));
    client.write(pair([5, 7], { port: "81", requestid: "1" }, false));
    client.write(spdyData(7, Buffer.from("to 81"), true));
    client.write(spdyData(3, Buffer.from("to 80")));
    await settleTransport();
    expect(pods.map(({ port }) => port)).toEqual([80, 81]);
    expect(String(pods[0]?.end.read())).toBe("to 80");
    expect(String(pods[1]?.end.read())).toBe("to 81");
    // The client's half is closed; the pod's is not.
    pods[1]?.end.end("late answer");
    await settleTransport();
    expect(received.get(7)).toBe("late answer");
    expect([...ended].sort()).toEqual([5, 7]);
    client.end();
    await served;
  });

  it("ends the error stream with the pod's answer, though the client keeps its half open", async () => {
    const { client, pods, received, ended, served } = connectClient();
    client.write(pair([1, 3], { port: "80", requestid: "0" }, true));
    await settleTransport();
    pods[0]?.end.end("answer");
    await settleTransport();
    expect(received.get(3)).toBe("answer");
    expect([...ended].sort()).toEqual([1, 3]);
    // The other way still works until the client is through.
    client.write(spdyData(3, Buffer.from("more")));
    await settleTransport();
    expect(String(pods[0]?.end.read())).toBe("more");
    client.end();
    await served;
  });

  it("pairs the streams of clients that send no request id", async () => {
    const { client, pods, served } = connectClient();
    client.write(pair([1, 3], { port: "80" }, true));
    await settleTransport();
    expect(pods.map(({ port }) => port)).toEqual([80]);
    client.end();
    await served;
  });

  it("says on the error stream why there is no connection, then ends both", async () => {
    const { client, received, ended, served } = connectClient(async () => {
      throw new Error("connection refused");
    });
    client.write(pair([1, 3], { port: "80", requestid: "0" }, true));
    await settleTransport();
    expect(received.get(1)).toBe("error forwarding port 80 to pod box, uid : connection refused");
    expect([...ended].sort()).toEqual([1, 3]);
    client.end();
    await served;
  });

  it("resets only the connection that broke in the pod", async () => {
    const { client, pods, received, ended, served } = connectClient();
    client.write(pair([1, 3], { port: "80", requestid: "0" }, true));
    client.write(pair([5, 7], { port: "80", requestid: "1" }, false));
    await settleTransport();
    pods[0]?.ours.destroy(new Error("read ECONNRESET"));
    pods[1]?.end.write("still here");
    await settleTransport();
    expect(ended.has(3)).toBe(true);
    expect(received.get(1) ?? "").toBe("");
    expect(received.get(7)).toBe("still here");
    client.end();
    await served;
  });

  it("gives up on a stream whose pair never comes", async () => {
    const { client, clock, received, pods, served } = connectClient();
    client.write(synStream(1, { streamtype: "error", port: "80", requestid: "9" }, true));
    await settleTransport();
    await clock.advance(30_000);
    await settleTransport();
    expect(received.get(1)).toBe("(request=9) timed out waiting for streams");
    expect(pods).toEqual([]);
    client.end();
    await served;
  });

  it("refuses streams without a port or of another type", async () => {
    const { client, ended, served } = connectClient();
    client.write(synStream(1, { streamtype: "error" }, true));
    client.write(synStream(3, { streamtype: "error", port: "0" }, false));
    client.write(synStream(5, { streamtype: "stdin", port: "80" }, false));
    await settleTransport();
    expect([...ended]).toEqual([1, 3, 5]);
    client.end();
    await served;
  });

  it("lets go of the pod's connections when the client goes", async () => {
    const { client, pods, served } = connectClient();
    client.write(pair([1, 3], { port: "80", requestid: "0" }, true));
    await settleTransport();
    client.end();
    await served;
    await settleTransport();
    expect(pods[0]?.ours.destroyed).toBe(true);
  });
});

describe("ports", () => {
  it.each([
    ["80", 80],
    ["65535", 65535],
    ["0", undefined],
    ["65536", undefined],
    ["-1", undefined],
    ["8 0", undefined],
    ["0x50", undefined],
    ["", undefined],
  ])("read %j as %s", (text, port) => {
    expect(parsePort(text)).toBe(port);
  });

  it("come repeated, comma-separated, and under the API server's name", () => {
    expect(parsePorts(new URLSearchParams("port=80&port=81,82"))).toEqual([80, 81, 82]);
    expect(parsePorts(new URLSearchParams("ports=83"))).toEqual([83]);
    expect(() => parsePorts(new URLSearchParams(""))).toThrow('"port" is required');
    expect(() => parsePorts(new URLSearchParams("port=80,x"))).toThrow('unable to parse "x"');
  });
});
