/**
 * The kubelet endpoints of the node agent: HTTPS, client certificate required. What an API server calls
 * for logs, exec, attach and port-forward, and metrics-server for figures.
 * Source: kubernetes pkg/kubelet/server/server.go.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../common/clock.ts";
import { isSimError, messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { ContainerRuntime } from "../runtime-port.ts";
import { resolveLogRequest, serveContainerLogs } from "./container-logs.ts";
import { httpStatusOf, nodeApiError } from "./errors.ts";
import type { PodDirectory } from "./pod-directory.ts";
import { formatResourceMetrics, formatSummary, samplePods } from "./resource-metrics.ts";
import { streamingRoutes } from "./streaming-routes.ts";
import { refuseUpgrade } from "./upgrade.ts";

export interface NodeApiOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** PEM. Clients must show a certificate signed by `ca`. */
  readonly tls: {
    readonly ca: string | Buffer;
    readonly cert: string | Buffer;
    readonly key: string | Buffer;
  };
  readonly pods: PodDirectory;
  readonly runtime: ContainerRuntime;
  readonly log: Logger;
  readonly clock: Clock;
  /** Answered by `/debug/facts`: what no kubelet tells. */
  readonly facts?: () => Promise<object>;
  /** Named in `/stats/summary`. */
  readonly nodeName?: string;
}

export interface NodeApi {
  /** For node.status.daemonEndpoints.kubeletEndpoint.Port. */
  readonly port: number;
  /** Ends every session, then closes. Idempotent. */
  close(): Promise<void>;
}

// Idle streams (a shell left open) would else die silently in the middle of a network path.
const keepAliveMs = 30_000;
// How long `close` waits for sessions to end their processes.
const closeTimeoutMs = 5_000;

/** Resolves once it listens; rejects with the error of `listen` (EADDRINUSE, EACCES). */
export async function createNodeApi(options: NodeApiOptions): Promise<NodeApi> {
  const { pods, runtime, clock, log } = options;
  const sockets = new Set<Duplex>();
  const sessions = new Set<Promise<void>>();

  const track = (session: Promise<void>) => {
    sessions.add(session);
    void session.finally(() => sessions.delete(session));
  };

  const server = createServer(
    { ...options.tls, requestCert: true, rejectUnauthorized: false },
    (request, response) => track(answer(request, response)),
  );

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      assertAuthorized(request);
      const { path, query } = parseTarget(request);
      await route(path, query, request, response, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      if (!isSimError(error)) log.error({ err: error, url: request.url }, "a request failed");
      if (response.headersSent) response.destroy();
      else answerError(response, error);
    }
  };

  const route = async (
    path: readonly string[],
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> => {
    const name = path.join("/");
    if (path[0] !== undefined && Object.hasOwn(streamingRoutes, path[0])) {
      throw nodeApiError("UPGRADE_REQUIRED", "Upgrade request required");
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      throw nodeApiError("METHOD_NOT_ALLOWED", "405: Method Not Allowed");
    }
    if (path[0] === "containerLogs" && path.length === 4) {
      const [, namespace = "", pod = "", container = ""] = path;
      const log = resolveLogRequest(pods, { namespace, pod, container }, query, clock);
      await serveContainerLogs(log, response, runtime, signal);
    } else if (name === "healthz") {
      answerText(response, "text/plain; charset=utf-8", "ok");
    } else if (name === "pods") {
      const items = pods.list().flatMap(({ object }) => (object ? [object] : []));
      answerJson(response, { kind: "PodList", apiVersion: "v1", metadata: {}, items });
    } else if (name === "metrics/resource") {
      const { samples, failed } = await samplePods(pods, runtime);
      const text = formatResourceMetrics(samples, failed, clock.nowMs());
      answerText(response, "text/plain; version=0.0.4; charset=utf-8", text);
    } else if (name === "stats/summary") {
      const { samples } = await samplePods(pods, runtime);
      answerJson(response, formatSummary(options.nodeName ?? "", samples, clock.nowMs()));
    } else if (name === "debug/facts" && options.facts !== undefined) {
      answerJson(response, await options.facts());
    } else {
      throw nodeApiError("ROUTE_NOT_FOUND", "404 page not found");
    }
  };

  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    // Until a protocol takes over, nobody else listens.
    socket.on("error", () => {});
    try {
      assertAuthorized(request);
      const { path, query } = parseTarget(request);
      const [verb = "", ...rest] = path;
      const serve = Object.hasOwn(streamingRoutes, verb) ? streamingRoutes[verb] : undefined;
      if (serve === undefined) throw nodeApiError("ROUTE_NOT_FOUND", "404 page not found");
      (socket as TLSSocket).setKeepAlive(true, keepAliveMs);
      (socket as TLSSocket).setNoDelay(true);
      await serve({ request, socket, head }, rest, query, { pods, runtime, clock, log });
    } catch (error) {
      if (!isSimError(error)) log.error({ err: error, url: request.url }, "a stream failed");
      // Clients print it behind "unable to upgrade connection: ".
      refuseUpgrade(socket, httpStatusOf(error), messageOf(error));
    }
  };

  server.on("upgrade", (request, socket, head) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    track(upgrade(request, socket, head));
  });
  // Handshakes that fail (a scanner, plain HTTP) are none of our business.
  server.on("tlsClientError", (error) => log.debug({ err: error }, "a TLS handshake failed"));

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.off("error", reject);
      resolve();
    });
  });

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    const patience = new AbortController();
    await Promise.race([
      Promise.allSettled(sessions),
      clock.sleep(closeTimeoutMs, patience.signal).catch(() => {}),
    ]);
    patience.abort();
    await closed;
  };
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

function assertAuthorized(request: IncomingMessage): void {
  if (!(request.socket as TLSSocket).authorized) throw nodeApiError("UNAUTHORIZED", "Unauthorized");
}

function parseTarget(request: IncomingMessage): {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
} {
  try {
    const url = new URL(request.url ?? "/", "https://node");
    const path = url.pathname.split("/").filter((segment) => segment !== "");
    return { path: path.map(decodeURIComponent), query: url.searchParams };
  } catch (cause) {
    throw nodeApiError("BAD_OPTIONS", "the request's path cannot be read", { cause });
  }
}

function answerText(response: ServerResponse, contentType: string, text: string): void {
  response.writeHead(200, { "content-type": contentType }).end(text);
}

function answerJson(response: ServerResponse, body: object): void {
  answerText(response, "application/json", JSON.stringify(body));
}

/** Plain text, as the kubelet: whoever called puts it into a Status of its own. */
function answerError(response: ServerResponse, error: unknown): void {
  response
    .writeHead(httpStatusOf(error), { "content-type": "text/plain; charset=utf-8" })
    .end(messageOf(error));
}
