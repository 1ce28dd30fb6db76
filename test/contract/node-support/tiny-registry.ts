/** The read half of an OCI registry (opencontainers/distribution-spec) over one layout folder. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export interface TinyRegistry {
  /** "127.0.0.1:port" */
  readonly host: string;
  readonly requests: string[];
  close(): Promise<void>;
}

/** Serves the layout's image as `<anything>:v1`; every other tag is unknown. */
export async function startTinyRegistry(layout: string): Promise<TinyRegistry> {
  const requests: string[] = [];
  const blob = (digest: string) => readFileSync(join(layout, "blobs", ...digest.split(":")));
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const manifest = /^\/v2\/.+\/manifests\/(.+)$/.exec(request.url ?? "")?.[1];
    const digest = /^\/v2\/.+\/blobs\/(sha256:[a-f0-9]{64})$/.exec(request.url ?? "")?.[1];
    try {
      if (request.url === "/v2/") response.end("{}");
      else if (manifest !== undefined) {
        const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
        const known = manifest === "v1" ? index.manifests[0].digest : manifest;
        if (!known.startsWith("sha256:")) throw new Error("unknown tag");
        response.setHeader("content-type", "application/vnd.oci.image.manifest.v1+json");
        response.end(blob(known));
      } else if (digest !== undefined) response.end(blob(digest));
      else throw new Error("no such path");
    } catch {
      response.statusCode = 404;
      response.end(
        JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }),
      );
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
