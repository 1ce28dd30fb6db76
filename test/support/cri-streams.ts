/**
 * The client's side of containerd's streaming server: exec, attach and port-forward over WebSocket
 * (v4.channel.k8s.io). The server listens on loopback in containerd's network namespace, so a small
 * relay is run in there and reached by a unix socket.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import WebSocket from "ws";
import { waitUntil } from "./wait-until.ts";

const relayProgram = `
const net = require("node:net");
net.createServer({ allowHalfOpen: true }, (near) => {
  const far = net.connect({ port: Number(process.argv[1]), host: "127.0.0.1", allowHalfOpen: true });
  near.pipe(far).pipe(near);
  for (const end of [near, far]) end.on("error", () => { near.destroy(); far.destroy(); });
}).listen(process.argv[2]);
`;

export interface Streams {
  /** `url` is what Exec, Attach or PortForward answered. */
  open(url: string): Promise<StreamSession>;
  close(): void;
}

export interface StreamSession {
  /** What came on a channel so far: 1 stdout, 2 stderr, 3 status; a port's data is 0, its error 1. */
  text(channel: number): string;
  send(channel: number, bytes: string | Buffer): void;
  /** Resolves when the server closed. */
  readonly closed: Promise<void>;
  close(): void;
}

export function createStreams(folder: string, netns: string): Streams {
  const relays = new Map<string, { readonly path: string; readonly child: ChildProcess }>();
  const relayTo = async (port: string) => {
    const known = relays.get(port);
    if (known !== undefined) return known.path;
    const path = join(folder, `relay-${port}`);
    const child = spawn("nsenter", [
      ...[`--net=/run/netns/${netns}`, "--", process.execPath],
      ...["-e", relayProgram, port, path],
    ]);
    relays.set(port, { path, child });
    await waitUntil(() => existsSync(path), { what: "the relay", intervalMs: 20 });
    return path;
  };
  return {
    async open(url) {
      const { port, pathname } = new URL(url);
      const socket = new WebSocket(
        `ws+unix:${await relayTo(port)}:${pathname}`,
        "v4.channel.k8s.io",
      );
      return session(socket);
    },
    close() {
      for (const { child } of relays.values()) child.kill("SIGKILL");
    },
  };
}

async function session(socket: WebSocket): Promise<StreamSession> {
  const chunks = new Map<number, Buffer[]>();
  socket.on("message", (data: Buffer) => {
    const channel = data[0] ?? 0;
    chunks.set(channel, [...(chunks.get(channel) ?? []), data.subarray(1)]);
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  return {
    text: (channel) => Buffer.concat(chunks.get(channel) ?? []).toString("utf8"),
    send: (channel, bytes) =>
      socket.send(Buffer.concat([Buffer.from([channel]), Buffer.from(bytes)])),
    closed,
    close: () => socket.close(),
  };
}
