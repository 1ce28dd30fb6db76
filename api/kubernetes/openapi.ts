/**
 * OpenAPI v3 of what this server serves, made from the generated definitions: clients read paths
 * (with fieldValidation and dryRun) and patch metadata from it before they apply, diff or edit.
 * Source: kube-openapi pkg/handler3, the published api/openapi-spec/v3 documents.
 */
import { createHash } from "node:crypto";
import { groupVersionPath, type OpenApiResource, openapiPaths } from "./openapi-paths.ts";
import { openapiSchemas } from "./openapi-schemas.ts";

export type { OpenApiResource, OpenApiSubresource } from "./openapi-paths.ts";

export interface OpenApiDocument {
  /** The JSON text. */
  readonly text: string;
  /** SHA-512 in upper-case hex, as in `?hash=`; also good as an ETag. */
  readonly hash: string;
}

/** Documents are large and the resources never change: each is made once. */
const made = new WeakMap<readonly OpenApiResource[], Map<string, OpenApiDocument>>();

/** The answer to GET /openapi/v3: every group/version with its document's address. */
export function openapiIndex(resources: readonly OpenApiResource[]): object {
  const paths: Record<string, { serverRelativeURL: string }> = {};
  for (const path of groupVersionPaths(resources)) {
    const hash = openapiDocument(path, resources)?.hash;
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
  }
  return { paths };
}

/**
 * The answer to GET /openapi/v3/<groupVersion>, where groupVersion is `api/v1` or
 * `apis/node.k8s.io/v1`; undefined when nothing of it is served.
 */
export function openapiDocument(
  groupVersion: string,
  resources: readonly OpenApiResource[],
): OpenApiDocument | undefined {
  const documents = made.get(resources) ?? new Map<string, OpenApiDocument>();
  made.set(resources, documents);
  const known = documents.get(groupVersion);
  if (known) return known;
  const served = resources.filter((resource) => groupVersionPath(resource) === groupVersion);
  if (served.length === 0) return undefined;
  const text = JSON.stringify(build(served));
  const hash = createHash("sha512").update(text).digest("hex").toUpperCase();
  const document = { text, hash };
  documents.set(groupVersion, document);
  return document;
}

function build(served: readonly OpenApiResource[]): object {
  const { paths, kinds } = openapiPaths(served);
  return {
    openapi: "3.0.0",
    info: { title: "Kubernetes", version: "v1.32.4" },
    paths,
    components: {
      schemas: openapiSchemas(kinds),
      securitySchemes: {
        BearerToken: {
          description: "Bearer Token authentication",
          in: "header",
          name: "authorization",
          type: "apiKey",
        },
      },
    },
  };
}

function groupVersionPaths(resources: readonly OpenApiResource[]): string[] {
  return [...new Set(resources.map(groupVersionPath))].sort();
}
