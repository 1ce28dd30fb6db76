/** /openapi/v3: the index, and one document per group version; made on first use and kept. */
import { openapiDocument, openapiIndex } from "../openapi.ts";
import type { Registry } from "../registry.ts";
import { noSuchPath } from "../status-errors.ts";
import type { KubeRequest } from "./exchange.ts";
import { finishReply, type Reply } from "./respond.ts";

const kept = new WeakMap<Registry, Map<string, Buffer>>();

export async function serveOpenapi(
  registry: Registry,
  path: string,
  request: KubeRequest,
): Promise<Reply> {
  const groupVersion = /^\/openapi\/v3(?:\/(.+))?$/.exec(path);
  if (groupVersion === null) throw noSuchPath();
  const documents = kept.get(registry) ?? new Map<string, Buffer>();
  kept.set(registry, documents);
  const name = groupVersion[1] ?? "";
  const body = documents.get(name) ?? render(registry, name);
  documents.set(name, body);
  return finishReply(request, 200, body, { "content-type": "application/json" });
}

function render(registry: Registry, name: string): Buffer {
  const document =
    name === "" ? openapiIndex(registry.resources) : openapiDocument(name, registry.resources);
  if (document === undefined) throw noSuchPath();
  return Buffer.from(JSON.stringify(document));
}
