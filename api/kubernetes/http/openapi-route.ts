/** /openapi/v3: the index, and one document per group version; made on first use and kept. */
import { openapiDocument, openapiIndex } from "../openapi.ts";
import type { Registry } from "../registry.ts";
import { noSuchPath } from "../status-errors.ts";
import type { KubeRequest } from "./exchange.ts";
import { finishReply, type Reply } from "./respond.ts";

/** Documents are large and the resources never change. */
const kept = new WeakMap<Registry, Map<string, Buffer>>();

export async function serveOpenapi(
  registry: Registry,
  path: string,
  request: KubeRequest,
): Promise<Reply> {
  const asked = /^\/openapi\/v3(?:\/(.+))?$/.exec(path);
  if (asked === null) throw noSuchPath();
  const groupVersion = asked[1] ?? "";
  const documents = kept.get(registry) ?? new Map<string, Buffer>();
  kept.set(registry, documents);
  const body = documents.get(groupVersion) ?? render(registry, groupVersion);
  documents.set(groupVersion, body);
  return finishReply(request, 200, body, { "content-type": "application/json" });
}

function render(registry: Registry, groupVersion: string): Buffer {
  const text =
    groupVersion === ""
      ? JSON.stringify(openapiIndex(registry.resources))
      : openapiDocument(groupVersion, registry.resources)?.text;
  if (text === undefined) throw noSuchPath();
  return Buffer.from(text);
}
