/**
 * /openapi/v3: the index, and one document per group version. /openapi/v2: everything in one document,
 * as JSON or in protobuf, which kubectl before 1.29 needs. Each is made on first use and kept.
 */
import { apiError } from "../../errors.ts";
import { openapiDocument, openapiIndex } from "../openapi.ts";
import { openapiV2Document } from "../openapi-v2.ts";
import { encodeOpenapiV2, protobufV2AskedType, protobufV2Type } from "../openapi-v2-protobuf.ts";
import type { Registry } from "../registry.ts";
import { noSuchPath } from "../status-errors.ts";
import type { KubeRequest } from "./exchange.ts";
import { parseAccept } from "./negotiation.ts";
import { finishReply, type Reply } from "./respond.ts";

interface Rendered {
  readonly type: string;
  readonly body: Buffer;
}

/** Documents are large and the resources never change. */
const kept = new WeakMap<Registry, Map<string, Rendered>>();

export async function serveOpenapi(
  registry: Registry,
  path: string,
  request: KubeRequest,
): Promise<Reply> {
  const documents = kept.get(registry) ?? new Map<string, Rendered>();
  kept.set(registry, documents);
  const wanted = path === "/openapi/v2" ? `v2 as ${v2Type(request.headers.accept)}` : path;
  const { type, body } = documents.get(wanted) ?? render(registry, path, request);
  documents.set(wanted, { type, body });
  return finishReply(request, 200, body, { "content-type": type });
}

function render(registry: Registry, path: string, request: KubeRequest): Rendered {
  if (path === "/openapi/v2") {
    const document = openapiV2Document(registry.resources);
    const type = v2Type(request.headers.accept);
    return type === json
      ? { type, body: Buffer.from(JSON.stringify(document)) }
      : { type, body: Buffer.from(encodeOpenapiV2(document)) };
  }
  const asked = /^\/openapi\/v3(?:\/(.+))?$/.exec(path);
  if (asked === null) throw noSuchPath();
  const [, groupVersion] = asked;
  const text =
    groupVersion === undefined
      ? JSON.stringify(openapiIndex(registry.resources))
      : openapiDocument(groupVersion, registry.resources)?.text;
  if (text === undefined) throw noSuchPath();
  return { type: json, body: Buffer.from(text) };
}

const json = "application/json";

/** Not `negotiate`: protobuf is offered here alone, and no transformation. */
function v2Type(accept: string | undefined): string {
  if (accept === undefined || accept.trim() === "") return json;
  for (const { type } of parseAccept(accept)) {
    if (type === protobufV2AskedType || type === protobufV2Type) return protobufV2Type;
    if (type === json || type === "application/*" || type === "*/*") return json;
  }
  throw apiError(
    "NOT_ACCEPTABLE",
    `only the following media types are accepted: ${json}, ${protobufV2Type}`,
  );
}
