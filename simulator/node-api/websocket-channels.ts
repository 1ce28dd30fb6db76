/**
 * Exec and attach over a WebSocket: binary messages whose first byte is the channel. Subprotocols
 * v4.channel.k8s.io and v5 (KEP-4006: adds channel 255 to close another one).
 * Source: apimachinery pkg/util/remotecommand/constants.go, pkg/util/httpstream/wsstream.
 */
import { Readable, Writable } from "node:stream";
import type { RawData, WebSocket } from "ws";
import {
  createResizeRelay,
  endAndFlush,
  type RemoteStreamOptions,
  type RemoteStreams,
} from "./remote-streams.ts";
import type { Status } from "./status.ts";

/** Best first. */
export const channelProtocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const;

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

// Standard input kept for a process that does not read before the client is made to wait.
const stdinBufferBytes = 256 * 1024;
// While paused nothing is read, and only a failing write shows that the client has gone: the first write
// to a closed socket draws a reset, the second fails.
const pausedProbeMs = 2_000;
// How long a client may take to answer our close frame.
const lingerMs = 5_000;

export function openChannelStreams(
  socket: WebSocket,
  protocol: string,
  options: RemoteStreamOptions,
): RemoteStreams {
  const gate = createReadGate(socket);
  const resizes = createResizeRelay();
  const stdin = options.stdin
    ? new Readable({ highWaterMark: stdinBufferBytes, read: () => gate.open() })
    : undefined;
  const stdout = options.stdout ? createChannelSink(socket, channel.stdout) : undefined;
  const stderr = options.stderr ? createChannelSink(socket, channel.stderr) : undefined;
  let stdinOpen = true;
  let finishing = false;

  socket.on("message", (raw: RawData) => {
    const message = bufferOf(raw);
    if (message.length === 0 || finishing) return;
    const payload = message.subarray(1);
    switch (message.readUInt8(0)) {
      case channel.stdin:
        if (stdin === undefined || !stdinOpen || stdin.destroyed || payload.length === 0) return;
        if (!stdin.push(payload)) gate.close();
        return;
      case channel.resize:
        resizes.decode(payload);
        return;
      case channel.close:
        // Version 4 has no way to say it; a client that speaks it just closes the connection.
        if (protocol !== "v5.channel.k8s.io" || payload[0] !== channel.stdin) return;
        if (stdinOpen) stdin?.push(null);
        stdinOpen = false;
        return;
    }
  });
  socket.on("error", () => {});
  const gone = new Promise<void>((resolve) => {
    socket.once("close", () => {
      gate.release();
      for (const stream of [stdin, stdout, stderr]) stream?.destroy();
      resolve();
    });
  });

  // As the kubelet does: tells the client that the streams stand.
  const first = options.stdout ? channel.stdout : options.stderr ? channel.stderr : channel.error;
  socket.send(Buffer.from([first]), { binary: true });

  return {
    stdin,
    stdout,
    stderr,
    onResize: resizes.onResize,
    gone,
    finish: async (status: Status) => {
      await Promise.all([endAndFlush(stdout), endAndFlush(stderr)]);
      finishing = true;
      gate.release();
      if (socket.readyState !== socket.OPEN) return;
      socket.send(
        Buffer.concat([Buffer.from([channel.error]), Buffer.from(JSON.stringify(status))]),
      );
      socket.close(1000);
      const linger = setTimeout(() => socket.terminate(), lingerMs);
      linger.unref();
      await gone;
      clearTimeout(linger);
    },
  };
}

/** A message whole, however `ws` hands it over. */
export function bufferOf(raw: RawData): Buffer {
  if (Buffer.isBuffer(raw)) return raw;
  return Array.isArray(raw) ? Buffer.concat(raw) : Buffer.from(raw);
}

/** Writes to one channel; the callback of each write comes when the socket took it. */
export function createChannelSink(socket: WebSocket, channelId: number): Writable {
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      const message = Buffer.allocUnsafe(chunk.length + 1);
      message.writeUInt8(channelId, 0);
      chunk.copy(message, 1);
      socket.send(message, { binary: true }, (error) => done(error));
    },
  });
  // The connection's end is told by "close"; an error without a listener would end the process.
  sink.on("error", () => {});
  return sink;
}

/** Pauses reading from the socket, and meanwhile checks that the client is still there. */
export function createReadGate(socket: WebSocket): {
  open(): void;
  close(): void;
  /** Open for good. */
  release(): void;
} {
  let probe: NodeJS.Timeout | undefined;
  let released = false;
  const open = () => {
    if (probe === undefined) return;
    clearInterval(probe);
    probe = undefined;
    socket.resume();
  };
  return {
    open,
    close: () => {
      if (released || probe !== undefined || socket.readyState !== socket.OPEN) return;
      socket.pause();
      probe = setInterval(() => socket.ping(() => {}), pausedProbeMs);
      probe.unref();
    },
    release: () => {
      released = true;
      open();
    },
  };
}
