/**
 * Exec and attach over SPDY/3.1: the client opens one stream per role, named by the header
 * `streamtype`; subprotocols v4.channel.k8s.io and v5 (the same here: closing is a FIN).
 * Source: k8s.io/kubelet pkg/cri/streaming/remotecommand/httpstream.go.
 */
import type { Duplex } from "node:stream";
import type { Clock } from "../../common/clock.ts";
import { nodeApiError } from "./errors.ts";
import {
  createResizeRelay,
  endAndFlush,
  type RemoteStreamOptions,
  type RemoteStreams,
} from "./remote-streams.ts";
import { createSpdySession } from "./spdy/session.ts";

/** kubelet's DefaultStreamCreationTimeout. */
export const streamCreationTimeoutMs = 30_000;

/**
 * Waits until the client has opened every stream the options call for. Rejects with STREAMS_TIMEOUT,
 * or when the client goes first; the transport is destroyed then.
 */
export async function openSpdyStreams(
  transport: Duplex,
  options: RemoteStreamOptions,
  clock: Clock,
): Promise<RemoteStreams> {
  const wanted = new Set(["error"]);
  if (options.stdin) wanted.add("stdin");
  if (options.stdout) wanted.add("stdout");
  if (options.stderr) wanted.add("stderr");
  if (options.tty) wanted.add("resize");

  const opened = new Map<string, Duplex>();
  let complete = () => {};
  const allOpened = new Promise<void>((resolve) => {
    complete = resolve;
  });
  const session = createSpdySession({
    transport,
    onStream: ({ headers, duplex }) => {
      const role = headers.get("streamtype") ?? "";
      if (!wanted.has(role) || opened.has(role)) {
        duplex.resume();
        return;
      }
      opened.set(role, duplex);
      // Output streams are only written, yet their end must be read for them to close.
      if (role !== "stdin" && role !== "resize") duplex.resume();
      if (opened.size === wanted.size) complete();
    },
  });
  await waitForStreams(allOpened, session.closed, clock).catch((error: unknown) => {
    session.destroy();
    throw error;
  });

  const resizes = createResizeRelay();
  opened.get("resize")?.on("data", resizes.decode);
  return {
    stdin: opened.get("stdin"),
    stdout: opened.get("stdout"),
    stderr: opened.get("stderr"),
    onResize: resizes.onResize,
    gone: session.closed,
    finish: async (status) => {
      await Promise.all([endAndFlush(opened.get("stdout")), endAndFlush(opened.get("stderr"))]);
      const error = opened.get("error");
      if (error && !error.destroyed) error.write(JSON.stringify(status));
      await endAndFlush(error);
      session.end();
    },
  };
}

async function waitForStreams(
  opened: Promise<void>,
  closed: Promise<void>,
  clock: Clock,
): Promise<void> {
  const waiting = new AbortController();
  const late = clock.sleep(streamCreationTimeoutMs, waiting.signal).then(
    () => "late" as const,
    () => "late" as const,
  );
  const first = await Promise.race([
    opened.then(() => "opened" as const),
    closed.then(() => "gone" as const),
    late,
  ]);
  waiting.abort();
  if (first === "opened") return;
  throw nodeApiError(
    "STREAMS_TIMEOUT",
    first === "late"
      ? "timed out waiting for client to create streams"
      : "the client went away before it created its streams",
  );
}
