import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { createFakeGuest, type FakeGuest } from "../../test/fakes/fake-guest.ts";
import { createGuestClient, type ExitedEvent, errnoOf, type GuestClient } from "./client.ts";
import { FrameKind, GuestEvent, initialWindowBytes, maxDataBytes, Verb } from "./protocol.ts";

const credit = (bytes: number) => {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(bytes);
  return body;
};
const manyFields = (count: number) => Array.from({ length: count }, () => [9, ""] as const);
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("guest client", () => {
  let guest: FakeGuest;
  let client: GuestClient;
  let exits: ExitedEvent[];

  beforeEach(() => {
    guest = createFakeGuest();
    exits = [];
    client = createGuestClient(guest.transport, {
      log: silentLogger,
      listener: { exited: (event) => exits.push(event), oom: () => {} },
    });
  });
  afterEach(() => client.close("the test is over"));

  const requestId = (index: number) => guest.requests[index]?.id ?? -1;

  it("matches replies that come in another order", async () => {
    const first = client.request("hello");
    const second = client.request("start", [[1, "c"]]);
    guest.reply(requestId(1), [[1, 2]]);
    guest.reply(requestId(0), [[1, 1]]);
    expect((await first).number(1)).toBe(1);
    expect((await second).number(1)).toBe(2);
    expect(guest.requests.map(({ verb }) => verb)).toEqual([Verb.hello, Verb.start]);
  });

  it("turns a status into an error with errno and words", async () => {
    const call = client.request("start");
    guest.reply(requestId(0), [[1, "no such command"]], 2);
    const error = await call.catch((e: unknown) => e);
    expect(errnoOf(error)).toBe("ENOENT");
    expect(String(error)).toContain("no such command");
  });

  it("passes on a refusal's words without what would steer a terminal, and not without end", async () => {
    const call = client.request("start");
    guest.reply(
      requestId(0),
      [[1, `\u001b]0;title\u0007no\r\n\u001b[2Jway ${"x".repeat(5_000)}`]],
      13,
    );
    const message = String(await call.catch((e: unknown) => e));
    expect(message).toContain("]0;titleno way xxx");
    expect(message.length).toBeLessThan(2_000);
  });

  it("gives up on a guest that does not answer", async () => {
    vi.useFakeTimers();
    try {
      const calls = (["mountDisk", "stats"] as const).map((verb) =>
        client.request(verb).catch((error: unknown) => String(error)),
      );
      await vi.advanceTimersByTimeAsync(60_000);
      const words = "the guest did not answer mountDisk in 60 s";
      expect(await Promise.all(calls)).toEqual([
        `SimError [GUEST_TIMEOUT]: ${words}`,
        `SimError [GUEST_GONE]: ${words}`,
      ]);
      expect(await client.closed).toBe(words);
    } finally {
      vi.useRealTimers();
    }
  });

  it("fails only the request where a program of the pod may be what does not answer", async () => {
    vi.useFakeTimers();
    try {
      const call = client.request("exec").catch((error: unknown) => String(error));
      await vi.advanceTimersByTimeAsync(60_000);
      expect(await call).toContain("the guest did not answer exec in 60 s");
    } finally {
      vi.useRealTimers();
    }
    guest.reply(requestId(0));
    const next = client.request("stats");
    guest.reply(requestId(1));
    await next;
  });

  it("does not count the time in which it stood still itself", async () => {
    vi.useFakeTimers();
    try {
      const call = client.request("stats");
      vi.setSystemTime(Date.now() + 3_600_000);
      vi.spyOn(performance, "now").mockReturnValue(performance.now() + 3_600_000);
      await vi.advanceTimersByTimeAsync(6_000);
      vi.mocked(performance.now).mockRestore();
      await vi.advanceTimersByTimeAsync(48_000);
      guest.reply(requestId(0));
      await call;
    } finally {
      vi.useRealTimers();
    }
  });

  it("passes exits on", async () => {
    guest.event(GuestEvent.exited, [
      [1, "c"],
      [2, "e"],
      [3, 143],
      [4, 1],
    ]);
    await turn();
    expect(exits).toEqual([{ id: "c", execId: "e", exitCode: 143, outOfMemory: "container" }]);
  });

  it("fails everything that is open when the guest goes away", async () => {
    const call = client.request("hello");
    const stream = client.openStream();
    const failed = new Promise((resolve) => stream.once("error", resolve));
    guest.hangUp();
    await expect(call).rejects.toThrow("closed its connection");
    expect(String(await failed)).toContain("closed its connection");
    await expect(client.request("hello")).rejects.toThrow("closed its connection");
  });

  it("gives the guest up when it breaks the protocol", async () => {
    guest.raw(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    expect(await client.closed).toContain("the guest sent a frame of 4294967295 bytes");
  });

  it.each<[string, (guest: FakeGuest) => void]>([
    ["answered request 77, which waits for no answer", () => guest.reply(77)],
    ["used stream 99, which it was not given", () => guest.send(FrameKind.data, 99)],
    ["used stream 0, which it was not given", () => guest.send(FrameKind.reset, 0)],
    [
      "gave back 1 bytes of window on stream 1 that it did not take",
      () => guest.send(FrameKind.window, client.openStream().streamId, credit(1)),
    ],
    [
      "gave back 0 bytes",
      () => guest.send(FrameKind.window, client.openStream().streamId, credit(0)),
    ],
    [
      "sent data after the end of stream 1",
      () => {
        client.openStream();
        for (const _ of [1, 2]) guest.send(FrameKind.data, 1);
      },
    ],
    ["sent more than 64 fields in one frame", () => guest.event(99, manyFields(65))],
    ["sent an event of 209001 bytes", () => guest.event(99, manyFields(41_800))],
  ])("gives up a guest that %s", async (words, play) => {
    play(guest);
    expect(await client.closed).toContain(`the guest ${words}`);
    await expect(client.request("hello")).rejects.toThrow(words);
  });

  it("takes what was under way on a stream it closed, and no more", async () => {
    const stream = client.openStream();
    stream.destroy();
    guest.send(FrameKind.data, stream.streamId, Buffer.alloc(maxDataBytes));
    guest.send(FrameKind.reset, stream.streamId);
    const call = client.request("hello");
    guest.reply(requestId(0));
    await call;
    for (let frames = 0; frames < 16; frames++) {
      guest.send(FrameKind.data, stream.streamId, Buffer.alloc(maxDataBytes));
    }
    expect(await client.closed).toContain("goes on with streams that are closed");
  });

  it("gives up a guest that floods it with events", async () => {
    for (let sent = 0; sent < 20_000; sent++) guest.event(GuestEvent.oom, [[1, "c"]]);
    expect(await client.closed).toContain("the guest sent more than 1000 events a second");
  });

  it("holds back what a guest does not read, and gives each stream its turn", async () => {
    guest.stopReading();
    const streams = [client.openStream("input"), client.openStream("input")];
    const written = streams.map(
      (stream) => new Promise((resolve) => stream.write(Buffer.alloc(initialWindowBytes), resolve)),
    );
    await turn();
    expect(guest.transport.writableLength).toBeLessThan(2 * maxDataBytes);
    guest.readOn();
    await Promise.all(written);
    expect(guest.frames.slice(1, 5).map(({ id }) => id)).toEqual([1, 2, 1, 2]);
  });

  it("returns no window to a guest that does not read", async () => {
    const stream = client.openStream();
    stream.resume();
    guest.stopReading();
    void client.request("writeFile", [[6, Buffer.alloc(maxDataBytes)]]).catch(() => {});
    const before = guest.transport.writableLength;
    for (let sent = 0; sent <= initialWindowBytes; sent += maxDataBytes) {
      guest.send(FrameKind.data, stream.streamId, Buffer.alloc(maxDataBytes));
      await turn();
    }
    expect(guest.transport.writableLength).toBeLessThanOrEqual(before);
    expect(await client.closed).toContain("overran the window");
  });

  it("sends no more than the guest's window and goes on when it grows", async () => {
    const stream = client.openStream();
    const sentBytes = () =>
      guest.frames
        .filter(({ kind }) => kind === FrameKind.data)
        .reduce((n, f) => n + f.body.length, 0);
    const written = new Promise((resolve) =>
      stream.write(Buffer.alloc(initialWindowBytes + 10), resolve),
    );
    await turn();
    expect(sentBytes()).toBe(initialWindowBytes);
    expect(Math.max(...guest.frames.map(({ body }) => body.length))).toBe(maxDataBytes);
    guest.send(FrameKind.window, stream.streamId, credit(10));
    await written;
    expect(sentBytes()).toBe(initialWindowBytes + 10);
  });

  it("returns window only as its reader takes bytes", async () => {
    const stream = client.openStream();
    for (let sent = 0; sent < initialWindowBytes; sent += maxDataBytes) {
      guest.send(FrameKind.data, stream.streamId, Buffer.alloc(maxDataBytes));
    }
    await turn();
    expect(guest.frames.filter(({ kind }) => kind === FrameKind.window)).toEqual([]);
    let read = 0;
    for await (const chunk of stream) {
      read += (chunk as Buffer).length;
      if (read === initialWindowBytes) break;
    }
    const returned = guest.frames
      .filter(({ kind }) => kind === FrameKind.window)
      .reduce((sum, { body }) => sum + body.readUInt32BE(0), 0);
    expect(returned).toBeGreaterThanOrEqual(initialWindowBytes / 2);
  });

  it("gives up a guest that sends more than its window", async () => {
    const stream = client.openStream();
    for (let sent = 0; sent <= initialWindowBytes; sent += maxDataBytes) {
      guest.send(FrameKind.data, stream.streamId, Buffer.alloc(maxDataBytes));
    }
    expect(await client.closed).toContain("overran the window");
  });

  it("delivers what came before the end, then the end", async () => {
    const stream = client.openStream("output");
    guest.send(FrameKind.data, stream.streamId, Buffer.from("last words"));
    guest.send(FrameKind.data, stream.streamId);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe("last words");
    // Nothing was ours to end.
    expect(guest.frames.filter(({ kind }) => kind !== FrameKind.window)).toEqual([]);
  });
});
