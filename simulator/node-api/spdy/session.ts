/**
 * The server half of a SPDY/3.1 connection as Kubernetes clients use it (moby/spdystream): the client
 * opens streams, we answer. It runs over any Duplex: an upgraded socket or a WebSocket.
 *
 * There is no flow control per stream: spdystream never sends WINDOW_UPDATE, so nothing may wait for
 * one. Back pressure is the transport's: a stream nobody reads pauses the whole connection.
 */
import { Duplex } from "node:stream";
import {
  createFrameDecoder,
  encodeDataHeader,
  encodePing,
  encodeRstStream,
  encodeSynReply,
  resetStatus,
  type SpdyFrame,
} from "./frames.ts";
import {
  createHeaderReader,
  createHeaderWriter,
  type SpdyHeaders,
  SpdyProtocolError,
} from "./header-block.ts";

export interface SpdyStream {
  readonly id: number;
  /** Names in lower case. */
  readonly headers: SpdyHeaders;
  /** Ending it half-closes (FIN); destroying it resets (RST_STREAM). Its errors need no listener. */
  readonly duplex: Duplex;
}

export interface SpdySession {
  /** Resolves when the transport is closed, for whatever reason. */
  readonly closed: Promise<void>;
  /** Sends what is buffered, then closes; what still arrives is read and thrown away. Idempotent. */
  end(): void;
  destroy(): void;
}

export interface SpdySessionOptions {
  readonly transport: Duplex;
  /** False refuses the stream (RST_STREAM REFUSED_STREAM); all are accepted without it. */
  readonly accepts?: (headers: SpdyHeaders) => boolean;
  /** Called after SYN_REPLY was queued, in the order of arrival. */
  readonly onStream: (stream: SpdyStream) => void;
}

// Buffered for a slow reader before the connection is paused: lets one stalled port-forward
// connection keep a burst without stopping its neighbours, yet bounds what a client can make us hold.
const streamBufferBytes = 256 * 1024;
// A client that opens more at once is not forwarding ports.
const maxStreams = 4096;
// A length is 24 bits; smaller frames let streams take turns.
const maxDataFrameBytes = 256 * 1024;
// A client that sends pings and never reads the answers must not fill our memory.
const maxPendingWriteBytes = 4 * 1024 * 1024;
// While paused we read nothing and so would not see the client go. Writing shows it: the first write to
// a closed socket draws a reset, the second fails.
const pausedProbeMs = 2_000;
// How long a client may take to close its side after we closed ours.
const lingerMs = 5_000;

interface LiveStream extends SpdyStream {
  finSent: boolean;
  finReceived: boolean;
}

export function createSpdySession(options: SpdySessionOptions): SpdySession {
  const { transport } = options;
  const readHeaders = createHeaderReader();
  const writeHeaders = createHeaderWriter();
  const streams = new Map<number, LiveStream>();
  const unread = new Set<number>();
  let lastStreamId = 0;
  let probePingId = 0;
  let probe: NodeJS.Timeout | undefined;
  let linger: NodeJS.Timeout | undefined;
  let ending = false;

  const send = (frame: Buffer) => {
    if (transport.writable) transport.write(frame);
  };

  const setUnread = (id: number, waits: boolean) => {
    if (waits) unread.add(id);
    else unread.delete(id);
    if (unread.size > 0 && probe === undefined && !ending) {
      transport.pause();
      probe = setInterval(() => {
        probePingId += 2;
        send(encodePing(probePingId));
      }, pausedProbeMs);
      probe.unref();
    } else if (unread.size === 0 && probe !== undefined) {
      clearInterval(probe);
      probe = undefined;
      transport.resume();
    }
  };

  const forgetWhenDone = (stream: LiveStream) => {
    if (stream.finSent && stream.finReceived) streams.delete(stream.id);
  };

  const writeData = (id: number, chunk: Buffer, done: (error?: Error | null) => void) => {
    if (!transport.writable) {
      done(new Error("the connection is closed"));
      return;
    }
    transport.cork();
    for (let offset = 0; offset < chunk.length; offset += maxDataFrameBytes) {
      const piece = chunk.subarray(offset, offset + maxDataFrameBytes);
      transport.write(encodeDataHeader(id, piece.length, false));
      const last = offset + piece.length === chunk.length;
      transport.write(piece, last ? done : undefined);
    }
    transport.uncork();
    if (chunk.length === 0) done();
  };

  const openStream = (id: number, headers: SpdyHeaders): LiveStream => {
    const duplex = new Duplex({
      readableHighWaterMark: streamBufferBytes,
      read: () => setUnread(id, false),
      write: (chunk: Buffer, _encoding, done) => writeData(id, chunk, done),
      final: (done) => {
        stream.finSent = true;
        forgetWhenDone(stream);
        if (transport.writable) transport.write(encodeDataHeader(id, 0, true), () => done());
        else done();
      },
      destroy: (error, done) => {
        setUnread(id, false);
        if (streams.delete(id)) send(encodeRstStream(id, resetStatus.cancel));
        done(error);
      },
    });
    // Whoever uses the stream sees "close"; an error without a listener would end the process.
    duplex.on("error", () => {});
    const stream: LiveStream = { id, headers, duplex, finSent: false, finReceived: false };
    return stream;
  };

  const onSynStream = (id: number, block: Buffer, fin: boolean) => {
    const headers = readHeaders(block);
    if (id % 2 === 0 || id <= lastStreamId) {
      throw new SpdyProtocolError(`stream id ${id} is out of order`);
    }
    lastStreamId = id;
    if (streams.size >= maxStreams || options.accepts?.(headers) === false) {
      send(encodeRstStream(id, resetStatus.refusedStream));
      return;
    }
    const stream = openStream(id, headers);
    streams.set(stream.id, stream);
    send(encodeSynReply(stream.id, writeHeaders(new Map())));
    options.onStream(stream);
    if (fin) onFin(stream);
  };

  const onFin = (stream: LiveStream) => {
    if (stream.finReceived) return;
    stream.finReceived = true;
    stream.duplex.push(null);
    forgetWhenDone(stream);
  };

  const onFrame = (frame: SpdyFrame) => {
    switch (frame.type) {
      case "synStream":
        onSynStream(frame.streamId, frame.block, frame.fin);
        return;
      case "synReply":
      case "headers":
        // Of no use to us, but the compression context must see it.
        readHeaders(frame.block);
        return;
      case "data": {
        const stream = streams.get(frame.streamId);
        if (stream === undefined || stream.finReceived) {
          // Late bytes of a stream we closed are normal; bytes of one never opened are not.
          if (frame.streamId > lastStreamId) {
            send(encodeRstStream(frame.streamId, resetStatus.invalidStream));
          }
          return;
        }
        if (frame.chunk.length > 0 && !stream.duplex.destroyed) {
          if (!stream.duplex.push(frame.chunk)) setUnread(stream.id, true);
        }
        if (frame.fin) onFin(stream);
        return;
      }
      case "rstStream": {
        const stream = streams.get(frame.streamId);
        streams.delete(frame.streamId);
        stream?.duplex.destroy(new Error(`the client reset the stream (status ${frame.status})`));
        return;
      }
      case "ping":
        // Even ids answer our own probes.
        if (frame.id % 2 === 1) send(encodePing(frame.id));
        if (transport.writableLength > maxPendingWriteBytes) {
          throw new SpdyProtocolError("the client does not read the answers to its pings");
        }
        return;
      case "goaway":
      case "ignored":
        return;
    }
  };

  const decode = createFrameDecoder(onFrame);
  transport.on("data", (chunk: Buffer) => {
    if (ending) return;
    try {
      decode(chunk);
    } catch (error) {
      transport.destroy(error instanceof Error ? error : undefined);
    }
  });
  // The client speaks no more: no Kubernetes client half-closes its connection.
  transport.on("end", () => transport.destroy());
  transport.on("error", () => {});

  const closed = new Promise<void>((resolve) => {
    transport.once("close", () => {
      clearInterval(probe);
      clearTimeout(linger);
      for (const stream of streams.values()) {
        stream.duplex.destroy(new Error("the connection is closed"));
      }
      streams.clear();
      resolve();
    });
  });

  return {
    closed,
    end: () => {
      if (ending) return;
      ending = true;
      // Closing a socket with unread bytes makes the kernel send a reset, and the client would lose
      // the last of the output: read on until it closes too.
      clearInterval(probe);
      transport.resume();
      transport.end();
      linger = setTimeout(() => transport.destroy(), lingerMs);
      linger.unref();
    },
    destroy: () => void transport.destroy(),
  };
}
