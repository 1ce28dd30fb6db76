/**
 * The OpenAPI v2 document in gnostic's protobuf form, the only one kubectl before 1.29 can read.
 * Source: google/gnostic-models openapiv2/OpenAPIv2.proto (our part of it: proto/openapi/v2.proto).
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { stringify } from "yaml";
import {
  DocumentSchema,
  type NamedAnySchema,
  type NamedSchemaSchema,
  type NonBodyParameterSchema,
  type OperationSchema,
  type ParameterSchema,
  type ParametersItemSchema,
  type SchemaSchema,
} from "../../proto/openapi/gen/v2_pb.js";
import {
  type DocumentV2,
  methodsV2,
  type OperationV2,
  type ParameterV2,
  type SchemaV2,
} from "./openapi-v2.ts";

/** Media type of the encoded document, as kube-openapi names it since 2022 … */
export const protobufV2Type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/** … and as clients ask for it: `@` is no legal character, so no answer may carry this one. */
export const protobufV2AskedType = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

export function encodeOpenapiV2(document: DocumentV2): Uint8Array {
  const message = create(DocumentSchema, {
    swagger: document.swagger,
    info: document.info,
    paths: {
      path: Object.entries(document.paths).map(([name, item]) => ({
        name,
        value: {
          ...Object.fromEntries(
            methodsV2.flatMap((method) => {
              const of = item[method];
              return of ? [[method, operation(of)]] : [];
            }),
          ),
          parameters: item.parameters.map(parameter),
        },
      })),
    },
    definitions: { additionalProperties: named(document.definitions) },
  });
  return toBinary(DocumentSchema, message);
}

function operation(of: OperationV2): MessageInitShape<typeof OperationSchema> {
  return {
    tags: [...of.tags],
    description: of.description,
    operationId: of.operationId,
    produces: [...of.produces],
    consumes: [...of.consumes],
    parameters: of.parameters.map(parameter),
    responses: {
      responseCode: Object.entries(of.responses).map(([name, { description, schema: body }]) => ({
        name,
        value: {
          oneof: {
            case: "response",
            value: {
              description,
              ...(body && { schema: { oneof: { case: "schema", value: schema(body) } } }),
            },
          },
        },
      })),
    },
    vendorExtension: extensions(of),
  };
}

function parameter(of: ParameterV2): MessageInitShape<typeof ParametersItemSchema> {
  const { schema: body, ...simple } = of;
  const value: MessageInitShape<typeof ParameterSchema> =
    of.in === "body"
      ? {
          oneof: {
            case: "bodyParameter",
            value: { ...simple, ...(body && { schema: schema(body) }) },
          },
        }
      : { oneof: { case: "nonBodyParameter", value: nonBodyParameter(of.in, simple) } };
  return { oneof: { case: "parameter", value } };
}

function nonBodyParameter(
  place: "path" | "query",
  of: Omit<ParameterV2, "schema">,
): MessageInitShape<typeof NonBodyParameterSchema> {
  return {
    oneof:
      place === "path"
        ? { case: "pathParameterSubSchema", value: of }
        : { case: "queryParameterSubSchema", value: of },
  };
}

function schema(of: SchemaV2): MessageInitShape<typeof SchemaSchema> {
  const { $ref, type, format, description, required, properties, items, additionalProperties } = of;
  return {
    ...($ref !== undefined && { Ref: $ref }),
    ...(type !== undefined && { type: { value: [type] } }),
    ...(format !== undefined && { format }),
    ...(description !== undefined && { description }),
    ...(required && { required: [...required] }),
    ...(properties && { properties: { additionalProperties: named(properties) } }),
    ...(items && { items: { schema: [schema(items)] } }),
    ...(additionalProperties && {
      additionalProperties: { oneof: { case: "schema", value: schema(additionalProperties) } },
    }),
    vendorExtension: extensions(of),
  };
}

function named(
  schemas: Readonly<Record<string, SchemaV2>>,
): MessageInitShape<typeof NamedSchemaSchema>[] {
  return Object.entries(schemas).map(([name, value]) => ({ name, value: schema(value) }));
}

/** Values of extensions are YAML text: clients parse them again. */
function extensions(
  of: Readonly<Record<`x-${string}`, unknown>>,
): MessageInitShape<typeof NamedAnySchema>[] {
  return Object.entries(of)
    .filter(([name]) => name.startsWith("x-"))
    .map(([name, value]) => ({ name, value: { yaml: stringify(value) } }));
}
