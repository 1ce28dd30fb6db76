/**
 * OpenAPI v2 of what this server serves: the v3 paths and schemas said in v2's words, in one document.
 * kubectl before 1.29 validates, explains and merges by it. Source: the published
 * api/openapi-spec/swagger.json, with which the definitions are compared in a test.
 */
import { type OpenApiResource, openapiPaths } from "./openapi-paths.ts";
import { openapiSchemas } from "./openapi-schemas.ts";

/** A schema; only the words our definitions use. Vendor extensions stand beside them (`x-…`). */
export interface SchemaV2 {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaV2>>;
  readonly items?: SchemaV2;
  readonly additionalProperties?: SchemaV2;
  readonly [extension: `x-${string}`]: unknown;
}

export interface ParameterV2 {
  readonly in: "body" | "path" | "query";
  readonly name: string;
  readonly description?: string;
  readonly required?: boolean;
  readonly type?: string;
  readonly uniqueItems?: boolean;
  /** Of a body. */
  readonly schema?: SchemaV2;
}

export interface OperationV2 {
  readonly description: string;
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  readonly parameters: readonly ParameterV2[];
  readonly responses: Readonly<Record<string, { description: string; schema?: SchemaV2 }>>;
  readonly [extension: `x-${string}`]: unknown;
}

export const methodsV2 = ["get", "put", "post", "delete", "patch"] as const;

export interface PathItemV2 extends Partial<Record<(typeof methodsV2)[number], OperationV2>> {
  readonly parameters: readonly ParameterV2[];
}

export interface DocumentV2 {
  readonly swagger: "2.0";
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, PathItemV2>>;
  readonly definitions: Readonly<Record<string, SchemaV2>>;
}

/** The document as an object; made anew on each call (about 3 MB as JSON): keep what comes of it. */
export function openapiV2Document(resources: readonly OpenApiResource[]): DocumentV2 {
  const { paths, kinds } = openapiPaths(resources);
  return {
    swagger: "2.0",
    info: { title: "Kubernetes", version: "v1.32.4" },
    paths: mapValues(paths, (item) => pathItem(item as unknown as PathItemV3)),
    definitions: mapValues(openapiSchemas(kinds), (schema) => schemaV2(schema)),
  };
}

interface ParameterV3 {
  readonly in: "path" | "query";
  readonly name: string;
  readonly schema: { readonly type: string; readonly uniqueItems: boolean };
}
type ContentV3 = Readonly<Record<string, { readonly schema: SchemaV3 }>>;
interface OperationV3 {
  readonly description: string;
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters: readonly ParameterV3[];
  readonly requestBody?: { readonly content: ContentV3; readonly required?: boolean };
  readonly responses: Readonly<Record<string, { description: string; content?: ContentV3 }>>;
  readonly [extension: `x-${string}`]: unknown;
}
interface PathItemV3 extends Partial<Record<(typeof methodsV2)[number], OperationV3>> {
  readonly parameters: readonly ParameterV3[];
}

function pathItem(item: PathItemV3): PathItemV2 {
  const operations: Partial<Record<(typeof methodsV2)[number], OperationV2>> = {};
  for (const method of methodsV2) {
    const of = item[method];
    if (of) operations[method] = operation(of);
  }
  return { ...operations, parameters: item.parameters.map(parameter) };
}

function operation(of: OperationV3): OperationV2 {
  const { requestBody, responses, ...same } = of;
  const produced = Object.values(responses).flatMap(({ content }) => Object.keys(content ?? {}));
  return {
    ...same,
    consumes: requestBody ? Object.keys(requestBody.content) : ["*/*"],
    produces: [...new Set(produced)],
    // v2 has no body beside the parameters: it is one of them.
    parameters: [...bodyParameter(requestBody), ...of.parameters.map(parameter)],
    responses: mapValues(responses, ({ description, content }) => {
      const schema = contentSchema(content);
      return { description, ...(schema && { schema }) };
    }),
  };
}

function parameter({ schema, ...same }: ParameterV3): ParameterV2 {
  return { ...same, ...schema };
}

function bodyParameter(body: OperationV3["requestBody"]): ParameterV2[] {
  const schema = contentSchema(body?.content);
  if (body === undefined || schema === undefined) return [];
  return [{ in: "body", name: "body", ...(body.required && { required: true }), schema }];
}

/** All media types of one body share a schema. */
function contentSchema(content: ContentV3 | undefined): SchemaV2 | undefined {
  const first = Object.values(content ?? {})[0];
  return first && schemaV2(first.schema);
}

interface SchemaV3 extends Omit<SchemaV2, "properties" | "items" | "additionalProperties"> {
  readonly allOf?: readonly { readonly $ref: string }[];
  readonly oneOf?: readonly object[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaV3>>;
  readonly items?: SchemaV3;
  readonly additionalProperties?: SchemaV3;
}

/**
 * Three differences: `$ref` may have siblings, so no allOf; "a string or a number" is a string (its
 * format tells); and the published v2 document gives no defaults.
 */
function schemaV2(schema: SchemaV3): SchemaV2 {
  const {
    allOf,
    oneOf,
    default: _,
    properties,
    items,
    additionalProperties,
    $ref,
    ...same
  } = schema;
  const ref = $ref ?? allOf?.[0]?.$ref;
  return {
    ...same,
    ...(ref !== undefined && { $ref: ref.replace("#/components/schemas/", "#/definitions/") }),
    ...(oneOf && { type: "string" }),
    ...(properties && { properties: mapValues(properties, schemaV2) }),
    ...(items && { items: schemaV2(items) }),
    ...(additionalProperties && { additionalProperties: schemaV2(additionalProperties) }),
  };
}

function mapValues<T, U>(of: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, map(value)]));
}
