/** The loopback of a pod's network namespace listens for the guest, in a namespace made for it. Needs root. */
import { execFileSync, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { createPodListeners, type PodListeners } from "../../runtime-shim/network/pod-listeners.ts";
import { waitUntil } from "../support/wait-until.ts";

const name = `klisten-${process.pid}`;
const netnsPath = `/run/netns/${name}`;
const obstacle =
  process.getuid?.() === 0 ? "" : " (skipped: it makes a network namespace, so needs root)";

const dialer = `
const socket = require("node:net").connect(Number(process.argv[1]), "127.0.0.1");
socket.on("error", (error) => { process.stdout.write(error.code); });
socket.pipe(process.stdout);
socket.end("hello");
`;

describe.skipIf(obstacle !== "")(`pod listeners${obstacle}`, () => {
  let listeners: PodListeners;

  beforeAll(() => {
    execFileSync("ip", ["netns", "add", name]);
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
  });
  afterEach(() => listeners.close());
  afterAll(() => {
    execFileSync("ip", ["netns", "delete", name]);
  });

  const open = (connect: (socket: Socket, port: number) => void) => {
    listeners = createPodListeners({ netnsPath, log: silentLogger, connect });
    return listeners;
  };
  /** Answers the port and what was said, as a guest with one program would. */
  const echo = (socket: Socket, port: number) => {
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk;
    });
    socket.on("end", () => socket.end(`${port} ${said}`));
  };
  const dial = (port: number) => {
    const enter = [`--net=${netnsPath}`, "--", process.execPath, "-e", dialer, String(port)];
    return text(spawn("nsenter", enter).stdout);
  };
  const answers = (port: number, words: string) =>
    waitUntil(async () => (await dial(port)) === words, { what: `${words} on port ${port}` });

  it("joins connections with the guest's ports, half-open ones too", async () => {
    open(echo).update([8080, 9090]);
    await answers(8080, "8080 hello");
    await answers(9090, "9090 hello");
  });

  it("refuses connections again once the guest does", async () => {
    open(echo).update([8080]);
    await answers(8080, "8080 hello");
    listeners.update([9090]);
    await answers(9090, "9090 hello");
    expect(await dial(8080)).toBe("ECONNREFUSED");
  });

  it("leaves out a port that is taken in the namespace, and opens the others", async () => {
    const other = createPodListeners({
      netnsPath,
      log: silentLogger,
      connect: (socket) => void socket.end("mine"),
    });
    try {
      other.update([8080]);
      await answers(8080, "mine");
      open(echo).update([8080, 9090]);
      await answers(9090, "9090 hello");
      expect(await dial(8080)).toBe("mine");
    } finally {
      await other.close();
    }
  });

  it("follows the last of many changes, with one helper a second at most, and no more than 64 ports", async () => {
    open(echo);
    for (let turn = 0; turn < 1_000; turn += 1) listeners.update([10_000 + turn]);
    listeners.update([
      0,
      70_000,
      1e9,
      ...Array.from({ length: 500 }, (_, index) => 20_000 + index),
    ]);
    await answers(20_063, "20063 hello");
    expect(await dial(20_064)).toBe("ECONNREFUSED");
  });

  it("leaves nothing open", async () => {
    open(echo).update([8080]);
    await answers(8080, "8080 hello");
    await listeners.close();
    expect(await dial(8080)).toBe("ECONNREFUSED");
  });
});
