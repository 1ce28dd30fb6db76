/** The API layer's entry: everything else in `api/` is its own business. */

export type { Credentials, KeyPair } from "./pki/certificates.ts";
export { type ApiServer, type ApiServerOptions, createApiServer } from "./server.ts";
