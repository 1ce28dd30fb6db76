/** Starts the embedded API server: store, certificates, TLS listener, controllers. Stops in reverse. */
import type { AddressInfo } from "node:net";
import fastify from "fastify";
import { type Clock, systemClock } from "../common/clock.ts";
import { messageOf } from "../common/errors.ts";
import type { Logger } from "../common/log.ts";
import type { Paths } from "../common/paths.ts";
import { authenticate } from "./auth.ts";
import { apiError } from "./errors.ts";
import { runControllers } from "./kubernetes/controllers/index.ts";
import type { HandlerContext } from "./kubernetes/http/exchange.ts";
import { frameworkErrors, registerKubernetes } from "./kubernetes/plugin.ts";
import { createRegistry } from "./kubernetes/registry.ts";
import { allResources } from "./kubernetes/resources/index.ts";
import { seedCluster } from "./kubernetes/seed.ts";
import { createKubeletForwarder } from "./kubernetes/streaming/forward.ts";
import { refuseUpgrade, serveUpgrade } from "./kubernetes/streaming/tunnel.ts";
import { defaultServerVersion } from "./kubernetes/version.ts";
import { type Credentials, openCertificates } from "./pki/certificates.ts";
import { createBetterSqliteStore } from "./store/better-sqlite.ts";

// kube-apiserver's own limit for request bodies (MaxRequestBodyBytes).
const bodyLimitBytes = 3 * 1024 * 1024;
// Longer than Go clients keep an idle connection (90 s), so that none writes into a closing one.
const keepAliveMs = 120_000;

export interface ApiServerOptions {
  readonly paths: Pick<Paths, "database" | "pki">;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly nodeName: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** gitVersion, default v1.32.4. */
  readonly serverVersion?: string;
}

export interface ApiServer {
  /** Already resolved: the server listens and holds its built-in objects. */
  readonly ready: Promise<void>;
  /** https://host:port */
  readonly url: string;
  readonly port: number;
  readonly credentials: Credentials;
  /** Ends watches and tunnels, answers what is under way, closes the database. Safe to repeat. */
  close(): Promise<void>;
}

/**
 * Resolves when requests are answered. Errors: PORT_IN_USE, LISTEN_FAILED, STORE_CORRUPT,
 * STORE_FULL, STORE_UNAVAILABLE, PKI_UNREADABLE; nothing is left running then.
 */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const host = options.host ?? "127.0.0.1";
  const clock = options.clock ?? systemClock;
  const { log } = options;
  const credentials = await openCertificates({
    dir: options.paths.pki,
    nodeName: options.nodeName,
    host,
    nowMs: clock.nowMs(),
  });
  const store = createBetterSqliteStore({
    file: options.paths.database,
    onListenerError: (error) => log.error({ err: error }, "a watcher failed"),
  });
  const open = new Set<() => void>();
  const base = {
    store,
    registry: createRegistry(allResources),
    clock,
    log,
    caPem: credentials.caPem,
  };
  const kubelet = { caPem: credentials.caPem, clientPair: credentials.kubeletClient };
  const context: HandlerContext = {
    ...base,
    kubelet: createKubeletForwarder(base, kubelet),
    onClose: (end) => {
      open.add(end);
      return () => open.delete(end);
    },
  };
  const stopping = new AbortController();
  let ready = false;
  let address = "";

  const app = fastify({
    https: {
      key: credentials.serving.keyPem,
      cert: credentials.serving.certPem,
      ca: credentials.caPem,
      // Everybody may knock: who has no certificate gets a 401 Status, not a TLS alert.
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: "TLSv1.2",
    },
    bodyLimit: bodyLimitBytes,
    keepAliveTimeout: keepAliveMs,
    forceCloseConnections: true,
    return503OnClosing: false,
    logger: false,
    frameworkErrors,
  });
  registerKubernetes(app, {
    context,
    serverAddress: () => address,
    serverVersion: options.serverVersion ?? defaultServerVersion,
    isReady: () => ready,
  });
  app.server.on("upgrade", (request, socket, head) => {
    try {
      authenticate(request.socket, request.url ?? "/");
    } catch (error) {
      refuseUpgrade(socket, error);
      return;
    }
    serveUpgrade(context, kubelet, request, socket, head);
  });

  const close = async () => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    for (const end of open) end();
    await app.close();
    store.close();
  };

  try {
    seedCluster(context);
    await app.listen({ host, port: options.port });
  } catch (error) {
    await close();
    throw listenError(error, host, options.port);
  }
  const { port } = app.server.address() as AddressInfo;
  address = `${host}:${port}`;
  runControllers(context, stopping.signal);
  ready = true;
  log.info({ address, database: options.paths.database }, "API server ready");
  return {
    ready: Promise.resolve(),
    url: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    credentials,
    close,
  };
}

function listenError(error: unknown, host: string, port: number): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "EADDRINUSE") {
    return apiError("PORT_IN_USE", `port ${port} on ${host} is in use by another program`, {
      cause: error,
      hint: "choose another with --api-port (0 takes any free one), or stop the other program",
    });
  }
  if (code === "EACCES" || code === "EADDRNOTAVAIL") {
    return apiError(
      "LISTEN_FAILED",
      `the API server cannot listen on ${host}:${port}: ${messageOf(error)}`,
      { cause: error, hint: "choose an address of this machine and a port above 1023" },
    );
  }
  return error;
}
