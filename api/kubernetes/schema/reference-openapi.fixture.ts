/**
 * For tests only: the published OpenAPI v3 documents and protobuf descriptors of Kubernetes v1.32, if
 * they lie in ../shared beside the checkout.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DocumentV2, ParameterV2 } from "../openapi-v2.ts";

export interface ReferenceSchema {
  readonly properties?: Readonly<Record<string, Record<string, unknown>>>;
  readonly required?: readonly string[];
  readonly [extension: string]: unknown;
}

const folder = join(import.meta.dirname, "../../../../shared/k8s-openapi");

export const hasReference = existsSync(folder);
if (!hasReference)
  console.warn(
    "skipped: no published OpenAPI documents in ../shared/k8s-openapi beside this checkout",
  );

/** All published definitions by OpenAPI name. */
export function referenceSchemas(): Readonly<Record<string, ReferenceSchema>> {
  const all: Record<string, ReferenceSchema> = {};
  for (const file of readdirSync(join(folder, "v3")))
    Object.assign(all, referenceDocument(file).components.schemas);
  return all;
}

export interface ReferenceDocument {
  readonly paths: Readonly<Record<string, Record<string, unknown>>>;
  readonly components: { readonly schemas: Readonly<Record<string, ReferenceSchema>> };
}

/** One published v3 document, e.g. `api__v1_openapi.json`. */
export function referenceDocument(file: string): ReferenceDocument {
  return JSON.parse(readFileSync(join(folder, "v3", file), "utf8"));
}

/** protobufjs JSON of the published generated.proto files. */
export function referenceDescriptors(): Record<string, unknown> {
  return JSON.parse(readFileSync(join(folder, "proto/k8s-v1.32-descriptors.json"), "utf8"));
}

/** The published OpenAPI v2 document. */
export function referenceSwagger(): DocumentV2 & {
  readonly parameters: Readonly<Record<string, ParameterV2>>;
} {
  return JSON.parse(readFileSync(join(folder, "swagger.json"), "utf8"));
}
