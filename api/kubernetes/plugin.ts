/** The Kubernetes API as a fastify plugin: one road for every request, errors always a Status. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isSimError } from "../../common/errors.ts";
import { authenticate } from "../auth.ts";
import { apiError } from "../errors.ts";
import { discover } from "./http/discovery.ts";
import type { HandlerContext, KubeRequest } from "./http/exchange.ts";
import { negotiate } from "./http/negotiation.ts";
import { serveOpenapi } from "./http/openapi-route.ts";
import { parseResourcePath } from "./http/request-info.ts";
import { handleResource } from "./http/resource-handler.ts";
import { type Reply, renderAnswer, withEtag } from "./http/respond.ts";
import { statusFromError } from "./http/status.ts";
import { noSuchPath } from "./status-errors.ts";
import { versionDocument } from "./version.ts";

export interface KubernetesPluginOptions {
  readonly context: HandlerContext;
  /** host:port, for /api. */
  serverAddress(): string;
  readonly serverVersion: string;
  isReady(): boolean;
}

export function registerKubernetes(app: FastifyInstance, options: KubernetesPluginOptions): void {
  const { context } = options;
  // Bodies are decoded by Kubernetes' rules, which need the bytes and the Content-Type.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, request, reply) => sendError(context, request, reply, error));
  app.setNotFoundHandler((request, reply) => sendError(context, request, reply, noSuchPath()));
  app.all("/*", async (request, reply) => {
    try {
      await serve(options, request, reply);
    } catch (error) {
      await sendError(context, request, reply, error);
    }
    return reply;
  });
}

async function serve(
  options: KubernetesPluginOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const { context } = options;
  const url = new URL(request.url, "https://api");
  const user = authenticate(request.raw.socket, url.pathname);
  const warnings: string[] = [];
  const kubeRequest: KubeRequest = {
    method: request.method,
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
    user,
    warn: (message) => {
      if (!warnings.includes(message)) warnings.push(message);
    },
  };
  const path = parseResourcePath(url.pathname);
  if (path !== undefined) {
    const answer = handleResource(context, path, kubeRequest);
    if (answer.type === "stream") {
      reply.hijack();
      answer.run(reply.raw);
      return;
    }
    const nowMs = context.clock.nowMs();
    await send(reply, await renderAnswer(answer, kubeRequest, warnings, nowMs));
    return;
  }
  await send(reply, await serveNonResource(options, kubeRequest));
}

async function serveNonResource(
  options: KubernetesPluginOptions,
  request: KubeRequest,
): Promise<Reply> {
  const { context } = options;
  const path = request.path.replace(/(?<=.)\/$/, "");
  const document = (object: object): Promise<Reply> =>
    renderAnswer({ type: "document", status: 200, object }, request, [], 0);
  switch (path) {
    case "/version":
      return document(versionDocument(options.serverVersion));
    case "/healthz":
    case "/livez":
      return text(200, "ok");
    case "/readyz":
      return options.isReady() ? text(200, "ok") : text(500, "katasim is starting");
    case "/":
      return document({
        paths: ["/api", "/apis", "/healthz", "/openapi/v2", "/openapi/v3", "/version"],
      });
  }
  if (path.startsWith("/openapi/")) {
    return withEtag(request, await serveOpenapi(context.registry, path, request));
  }
  const found = discover(
    context.registry,
    path,
    negotiate(request.headers.accept),
    options.serverAddress(),
  );
  if (found === undefined) throw noSuchPath();
  return withEtag(request, await document(found));
}

function text(status: number, body: string): Reply {
  return {
    status,
    headers: { "content-type": "text/plain; charset=utf-8" },
    body: Buffer.from(body),
  };
}

async function send(reply: FastifyReply, answer: Reply): Promise<void> {
  reply.code(answer.status);
  for (const [name, value] of Object.entries(answer.headers)) reply.header(name, value);
  await reply.send(answer.body);
}

/** For errors that fastify meets before any route: URLs it cannot read. */
export function frameworkErrors(error: Error, _request: FastifyRequest, reply: FastifyReply): void {
  const status = statusFromError(apiError("BAD_REQUEST", error.message, { cause: error }));
  reply.code(400).header("content-type", "application/json").send(JSON.stringify(status));
}

async function sendError(
  context: HandlerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  thrown: unknown,
): Promise<void> {
  const error = fromFastifyError(thrown);
  const status = statusFromError(error);
  const code = Number(status.code);
  // What the caller did wrong is the caller's to read; the log is for the owner and for us.
  const kind = isSimError(error) ? error.kind : "bug";
  if (kind !== "user") {
    const level = kind === "bug" ? "error" : "warn";
    context.log[level]({ err: error, method: request.method, url: request.url }, "request failed");
  }
  const body = Buffer.from(`${JSON.stringify(status)}\n`);
  await send(reply, { status: code, headers: { "content-type": "application/json" }, body });
}

function fromFastifyError(error: unknown): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return apiError("REQUEST_TOO_LARGE", "Request entity too large: limit is 3145728", {
      cause: error,
    });
  }
  if (typeof code === "string" && code.startsWith("FST_ERR_CTP")) {
    return apiError("BAD_REQUEST", "the body of the request could not be read", { cause: error });
  }
  return error;
}
