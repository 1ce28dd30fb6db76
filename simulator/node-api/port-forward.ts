/**
 * `/portForward` in the form of kubectl and client-go: a SPDY connection (on the socket itself or inside
 * a WebSocket) with a pair of streams, `error` and `data`, for each forwarded TCP connection.
 * Source: k8s.io/kubelet pkg/cri/streaming/portforward/httpstream.go.
 */

import type { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import type { Clock } from "../../common/clock.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { SpdyHeaders } from "./spdy/header-block.ts";
import { createSpdySession, type SpdyStream } from "./spdy/session.ts";
import { streamCreationTimeoutMs } from "./spdy-streams.ts";

export const spdyPortForwardProtocol = "portforward.k8s.io";
export const tunnelPortForwardProtocol = "SPDY/3.1+portforward.k8s.io";

export interface PortForwardTarget {
  /** Named in error texts, as containerd's CRI does. */
  readonly sandboxId: string;
  /** A connection to the port inside the pod. Rejects with the reason. */
  connect(port: number): Promise<Duplex>;
}

interface StreamPair {
  readonly data?: SpdyStream;
  readonly error?: SpdyStream;
  readonly expiry: AbortController;
}

/** Serves until the client closes the connection. */
export async function servePortForward(
  transport: Duplex,
  target: PortForwardTarget,
  clock: Clock,
  log: Logger,
): Promise<void> {
  const pairs = new Map<string, StreamPair>();

  const expire = (requestId: string, expiry: AbortController) =>
    clock.sleep(streamCreationTimeoutMs, expiry.signal).then(
      () => {
        const pair = pairs.get(requestId);
        pairs.delete(requestId);
        pair?.error?.duplex.end(`(request=${requestId}) timed out waiting for streams`);
        pair?.data?.duplex.destroy();
      },
      // Aborted: the pair is complete.
      () => {},
    );

  const session = createSpdySession({
    transport,
    accepts: (headers) => portOf(headers) !== undefined && roleOf(headers) !== undefined,
    onStream: (stream) => {
      const role = roleOf(stream.headers);
      const requestId = requestIdOf(stream);
      const waiting = pairs.get(requestId);
      if (role === undefined || waiting?.[role] !== undefined) {
        stream.duplex.destroy();
        return;
      }
      // The client only reads its error stream, and ends its own half at once.
      if (role === "error") stream.duplex.resume();
      const expiry = waiting?.expiry ?? new AbortController();
      const pair = { ...waiting, [role]: stream, expiry };
      if (waiting === undefined) void expire(requestId, expiry);
      if (pair.data === undefined || pair.error === undefined) {
        pairs.set(requestId, pair);
        return;
      }
      pairs.delete(requestId);
      expiry.abort();
      const port = portOf(pair.data.headers) ?? 0;
      void forward(pair.data.duplex, pair.error.duplex, target, port, log);
    },
  });
  await session.closed;
  for (const pair of pairs.values()) pair.expiry.abort();
}

async function forward(
  data: Duplex,
  error: Duplex,
  target: PortForwardTarget,
  port: number,
  log: Logger,
): Promise<void> {
  try {
    const connection = await target.connect(port);
    // kubectl before 1.31 keeps its half of the data stream, and its user's connection, open until
    // the error stream has ended: waiting for both halves here would wait for ever.
    connection.once("end", () => error.end());
    await joinConnections(data, connection).catch((cause: unknown) => {
      // A program that resets one connection is no failure of forwarding: clients give up all of
      // them when they read a text on the error stream (kubernetes issues 74551 and 111825).
      log.debug({ err: cause, port }, "a forwarded connection broke");
    });
    if (!error.writableEnded) error.end();
  } catch (cause) {
    log.debug({ err: cause, port }, "port forwarding failed");
    // The client treats any text here as the reason; it must be there before the data stream ends.
    error.end(portForwardErrorText(port, target.sandboxId, cause), () => data.end());
    data.resume();
  }
}

/** kubelet's words around the runtime's reason. CRI runtimes leave the uid empty. */
export function portForwardErrorText(port: number, sandboxId: string, cause: unknown): string {
  return `error forwarding port ${port} to pod ${sandboxId}, uid : ${messageOf(cause)}`;
}

/**
 * Copies both ways, half-closes kept, until both ends are through. When one end breaks the other is
 * destroyed and the promise rejects.
 */
export async function joinConnections(client: Duplex, pod: Duplex): Promise<void> {
  const destroyBoth = () => {
    client.destroy();
    pod.destroy();
  };
  client.pipe(pod);
  pod.pipe(client);
  client.on("error", destroyBoth);
  pod.on("error", destroyBoth);
  try {
    await Promise.all([finished(client), finished(pod)]);
  } finally {
    destroyBoth();
  }
}

function roleOf(headers: SpdyHeaders): "data" | "error" | undefined {
  const role = headers.get("streamtype");
  return role === "data" || role === "error" ? role : undefined;
}

function portOf(headers: SpdyHeaders): number | undefined {
  return parsePort(headers.get("port") ?? "");
}

/** 1..65535, decimal digits only. */
export function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 0xffff ? port : undefined;
}

/** Clients of before 1.4 send no request id, but open error and data one after the other. */
function requestIdOf({ id, headers }: SpdyStream): string {
  const given = headers.get("requestid");
  if (given) return given;
  return `stream-${roleOf(headers) === "error" ? id : id - 2}`;
}
