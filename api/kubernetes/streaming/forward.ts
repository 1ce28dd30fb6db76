/** Plain HTTP to a node agent: pod logs and the node proxy. The answer streams through. */
import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { apiError } from "../../errors.ts";
import type { KeyPair } from "../../pki/certificates.ts";
import type { ApiContext } from "../context.ts";
import type { KubeAnswer, KubeletForwarder, KubeRequest } from "../http/exchange.ts";
import { writeReply } from "../http/respond.ts";
import { statusFromError } from "../http/status.ts";
import { type KubeletAddress, kubeletAddressOf } from "./kubelet-address.ts";
import { kubeletRequestOf } from "./kubelet-request.ts";

// GenericHttpResponseChecker reads no more of an error than this.
const maxErrorBytes = 50_000;

// kube-apiserver's own dial timeout: a node's address may lead nowhere.
const dialTimeoutMs = 30_000;

export interface KubeletClient {
  readonly caPem: string;
  readonly clientPair: KeyPair;
}

/** Options to reach a node agent; its certificate must be of our CA and name the node. */
export function dialOptions(client: KubeletClient, address: KubeletAddress): RequestOptions {
  return {
    host: address.host,
    port: address.port,
    servername: address.nodeName,
    ca: client.caPem,
    cert: client.clientPair.certPem,
    key: client.clientPair.keyPem,
    agent: false,
  };
}

/** A request to the node agent that gives up dialling in time. The caller listens and ends it. */
export function openBackend(options: RequestOptions): ClientRequest {
  const backend = httpsRequest(options);
  const timer = setTimeout(() => {
    backend.destroy(Object.assign(new Error("i/o timeout"), { code: "ETIMEDOUT" }));
  }, dialTimeoutMs);
  const connected = () => clearTimeout(timer);
  backend.once("socket", (socket) => socket.once("secureConnect", connected));
  backend.once("close", connected);
  return backend;
}

export function createKubeletForwarder(
  context: ApiContext,
  client: KubeletClient,
): KubeletForwarder {
  return {
    forward(target, request): KubeAnswer {
      const { nodeName, path } = kubeletRequestOf(context, target, request.query);
      if (target.definition.storage === "pods" && target.subresource !== "log") {
        throw apiError("BAD_REQUEST", "Upgrade request required");
      }
      // A pod that waits for a node has no log yet: the real server answers an empty one.
      if (nodeName === "") return { type: "stream", run: endEmpty };
      const address = kubeletAddressOf(context, nodeName);
      return {
        type: "stream",
        run: (response) => pass(dialOptions(client, address), path, request, response),
      };
    },
  };
}

function pass(
  dial: RequestOptions,
  path: string,
  request: KubeRequest,
  response: ServerResponse,
): void {
  const url = `https://${dial.host}:${dial.port}${path}`;
  const backend = openBackend({
    ...dial,
    path,
    method: request.method,
    headers: {
      accept: request.headers.accept ?? "*/*",
      ...(request.body.length === 0
        ? {}
        : {
            "content-type": request.headers["content-type"] ?? "application/octet-stream",
            "content-length": request.body.length,
          }),
    },
  });
  backend.on("response", (answer) => {
    if ((answer.statusCode ?? 500) >= 300) {
      void refuse(answer, response);
      return;
    }
    response.writeHead(answer.statusCode ?? 200, {
      "content-type": answer.headers["content-type"] ?? "text/plain",
    });
    // A follower waits for the first line; it must see at once that the log is open.
    response.flushHeaders();
    answer.pipe(response);
    answer.on("error", () => response.destroy());
  });
  backend.on("error", (error) => {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    fail(
      response,
      apiError("NODE_UNREACHABLE", `Get "${url}": ${dialWords(error, dial)}`, { cause: error }),
    );
  });
  response.on("close", () => backend.destroy());
  backend.end(request.body);
}

/** Go's words for a failed connection, as kubectl users know them. */
export function dialWords(error: Error, dial: RequestOptions): string {
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: "connect: connection refused",
    EHOSTUNREACH: "connect: no route to host",
    ENETUNREACH: "connect: network is unreachable",
    ETIMEDOUT: "i/o timeout",
  };
  const known = words[String((error as NodeJS.ErrnoException).code)];
  return known === undefined ? error.message : `dial tcp ${dial.host}:${dial.port}: ${known}`;
}

/** The node agent's refusal (plain text) as a Status. */
async function refuse(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  const text = await readLimited(answer);
  const code = answer.statusCode ?? 500;
  if (code === 400) fail(response, apiError("BAD_REQUEST", text));
  else if (code === 404) fail(response, apiError("NOT_FOUND", text || "not found"));
  else fail(response, apiError("INTERNAL", `Internal error occurred: ${text}`));
}

async function readLimited(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length > maxErrorBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, maxErrorBytes).toString("utf8").trim();
}

function fail(response: ServerResponse, error: unknown): void {
  const status = statusFromError(error);
  writeReply(response, {
    status: Number(status.code),
    headers: { "content-type": "application/json" },
    body: Buffer.from(`${JSON.stringify(status)}\n`),
  });
}

function endEmpty(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/plain" });
  response.end();
}
