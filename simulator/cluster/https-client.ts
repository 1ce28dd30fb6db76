/** HTTPS requests with a client certificate over kept-alive connections; JSON in, text out. */
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { messageOf } from "../../common/errors.ts";
import { clusterError } from "./errors.ts";

export interface HttpsClientOptions {
  /** "https://127.0.0.1:6443" */
  readonly server: string;
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** Silence on the connection for this long is an error. */
  readonly idleTimeoutMs: number;
}

export interface HttpAnswer {
  readonly httpStatus: number;
  readonly body: string;
}

export interface HttpsClient {
  /** Rejects with API_UNREACHABLE when no whole answer came. */
  send(request: HttpRequest): Promise<HttpAnswer>;
  /** Resolves with the open answer, to be read as it comes. */
  open(request: HttpRequest): Promise<IncomingMessage>;
  close(): void;
}

// An answer larger than this is not from an API server whose lists are paged.
const maxBodyBytes = 64 * 1024 * 1024;

export function createHttpsClient(options: HttpsClientOptions): HttpsClient {
  const server = new URL(options.server);
  const agent = new Agent({
    keepAlive: true,
    ca: options.caPem,
    cert: options.certPem,
    key: options.keyPem,
  });

  const open = (request: HttpRequest, isRetry = false) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const body = request.body === undefined ? undefined : JSON.stringify(request.body);
      const outgoing = httpsRequest(
        {
          agent,
          host: server.hostname,
          port: server.port || 443,
          method: request.method,
          path: `${server.pathname.replace(/\/$/, "")}${request.path}`,
          ...(request.signal ? { signal: request.signal } : {}),
          timeout: request.idleTimeoutMs,
          headers: {
            accept: "application/json",
            "user-agent": "katasim-node-agent",
            ...(body === undefined
              ? {}
              : {
                  "content-type": request.contentType ?? "application/json",
                  "content-length": Buffer.byteLength(body),
                }),
          },
        },
        resolve,
      );
      outgoing.on("timeout", () =>
        outgoing.destroy(new Error(`no answer for ${request.idleTimeoutMs / 1000} s`)),
      );
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        // The server closed a kept-alive connection just as it was taken up again: nobody has seen
        // the request (nodejs.org "request.reusedSocket").
        if (outgoing.reusedSocket && error.code === "ECONNRESET" && !isRetry) {
          open(request, true).then(resolve, reject);
        } else {
          reject(unreachable(request, error));
        }
      });
      outgoing.end(body);
    });

  const unreachable = (request: HttpRequest, error: unknown) =>
    clusterError(
      "API_UNREACHABLE",
      `${request.method} ${options.server}${request.path}: ${messageOf(error)}`,
      { cause: error, hint: "Check that the API server runs: katasim status." },
    );

  return {
    open: (request) => open(request),
    async send(request) {
      const answer = await open(request);
      const chunks: Buffer[] = [];
      let size = 0;
      try {
        for await (const chunk of answer as AsyncIterable<Buffer>) {
          size += chunk.length;
          if (size > maxBodyBytes)
            throw new Error(`the answer is larger than ${maxBodyBytes} bytes`);
          chunks.push(chunk);
        }
      } catch (error) {
        throw unreachable(request, error);
      }
      return { httpStatus: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") };
    },
    close() {
      agent.destroy();
    },
  };
}
