/** Writes answers: negotiation, Table, gzip, Warning headers. */
import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { stringify } from "yaml";
import { apiVersionOf, type KubeObject } from "../object.ts";
import type { KubeAnswer, KubeRequest } from "./exchange.ts";
import { type Negotiated, negotiate } from "./negotiation.ts";
import { isStatus } from "./status.ts";
import { includeObjectOf, listMetaOf, partialMetadata, tableOf } from "./tables.ts";

const compress = promisify(gzip);

// apiserver's own threshold and level: small answers cost more to pack than to send.
const gzipThresholdBytes = 128 * 1024;
const gzipLevel = 4;

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
}

/** Everything but streams. */
export async function renderAnswer(
  answer: Exclude<KubeAnswer, { type: "stream" }>,
  request: KubeRequest,
  warnings: readonly string[],
  nowMs: number,
): Promise<Reply> {
  const negotiated = negotiateFor(answer, request);
  const document = documentOf(answer, request, negotiated, nowMs);
  const status = answer.type === "list" ? 200 : answer.status;
  const text =
    negotiated.encoding === "yaml" ? stringify(document) : `${JSON.stringify(document)}\n`;
  return finishReply(request, status, Buffer.from(text), {
    "content-type": contentType(answer, negotiated),
    "cache-control": "no-cache, private",
    ...(warnings.length === 0 ? {} : { warning: warnings.map(warningHeader) }),
  });
}

/** gzip for large bodies; shared with OpenAPI documents. */
export async function finishReply(
  request: Pick<KubeRequest, "headers">,
  status: number,
  body: Buffer,
  headers: Readonly<Record<string, string | string[]>>,
): Promise<Reply> {
  const accepts = String(request.headers["accept-encoding"] ?? "").includes("gzip");
  if (!accepts || body.length < gzipThresholdBytes) return { status, headers, body };
  return {
    status,
    headers: { ...headers, "content-encoding": "gzip", vary: "Accept-Encoding" },
    body: await compress(body, { level: gzipLevel }),
  };
}

/** Adds an ETag, and answers 304 to a client that has the document. */
export function withEtag(request: Pick<KubeRequest, "headers">, reply: Reply): Reply {
  const etag = `"${createHash("sha256").update(reply.body).digest("hex").toUpperCase()}"`;
  const headers = { ...reply.headers, etag, vary: "Accept, Accept-Encoding" };
  return request.headers["if-none-match"] === etag
    ? { status: 304, headers, body: Buffer.alloc(0) }
    : { ...reply, headers };
}

export function writeReply(response: ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, { ...reply.headers, "content-length": reply.body.length });
  response.end(reply.body);
}

/** RFC 7234 section 5.5: code 299, no agent, the text quoted. */
export function warningHeader(message: string): string {
  const printable = message.replace(/[^\x20-\x7e]/g, " ").replace(/["\\]/g, "\\$&");
  return `299 - "${printable}"`;
}

/** A client that cannot read our answer still gets errors, as JSON. */
function negotiateFor(
  answer: Exclude<KubeAnswer, { type: "stream" }>,
  request: KubeRequest,
): Negotiated {
  if (answer.type === "document" && isStatus(answer.object as KubeObject)) {
    return { encoding: "json", as: "object", version: "", discovery: false };
  }
  return negotiate(request.headers.accept);
}

function documentOf(
  answer: Exclude<KubeAnswer, { type: "stream" }>,
  request: KubeRequest,
  negotiated: Negotiated,
  nowMs: number,
): object {
  if (answer.type === "document") return answer.object;
  const { definition } = answer;
  const table = {
    version: negotiated.version,
    includeObject: includeObjectOf(request.query),
    nowMs,
    withColumns: true,
  };
  if (answer.type === "object") {
    const { object } = answer;
    if (isStatus(object)) return object;
    if (negotiated.as === "Table") return tableOf(definition, [object], listMetaOf(object), table);
    return negotiated.as === "PartialObjectMetadata"
      ? partialMetadata(object, negotiated.version)
      : object;
  }
  if (negotiated.as === "Table") return tableOf(definition, answer.items, answer.metadata, table);
  if (negotiated.as === "PartialObjectMetadata") {
    return {
      kind: "PartialObjectMetadataList",
      apiVersion: `meta.k8s.io/${negotiated.version}`,
      metadata: answer.metadata,
      items: answer.items.map((item) => partialMetadata(item, negotiated.version)),
    };
  }
  return {
    kind: `${definition.kind}List`,
    apiVersion: apiVersionOf(definition),
    metadata: answer.metadata,
    items: answer.items,
  };
}

function contentType(
  answer: Exclude<KubeAnswer, { type: "stream" }>,
  negotiated: Negotiated,
): string {
  if (negotiated.encoding === "yaml") return "application/yaml";
  return answer.type === "document" && negotiated.discovery
    ? `application/json;g=apidiscovery.k8s.io;v=${negotiated.version};as=APIGroupDiscoveryList`
    : "application/json";
}
