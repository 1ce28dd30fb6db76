/** /openapi/v3: the index, and one document per group version. */
import { openapiDocument, openapiIndex } from "../openapi.ts";
import type { Registry } from "../registry.ts";
import { noSuchPath } from "../status-errors.ts";
import type { KubeRequest } from "./exchange.ts";
import { finishReply, type Reply } from "./respond.ts";

export async function serveOpenapi(
  registry: Registry,
  path: string,
  request: KubeRequest,
): Promise<Reply> {
  const asked = /^\/openapi\/v3(?:\/(.+))?$/.exec(path);
  if (asked === null) throw noSuchPath();
  const text =
    asked[1] === undefined
      ? JSON.stringify(openapiIndex(registry.resources))
      : openapiDocument(asked[1], registry.resources)?.text;
  if (text === undefined) throw noSuchPath();
  return finishReply(request, 200, Buffer.from(text), { "content-type": "application/json" });
}
