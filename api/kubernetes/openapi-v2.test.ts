import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import {
  DocumentSchema,
  type NamedAny,
  type Operation,
  type ParametersItem,
  type Schema,
} from "../../proto/openapi/gen/v2_pb.js";
import { openapiV2Document, type ParameterV2, type SchemaV2 } from "./openapi-v2.ts";
import { encodeOpenapiV2 } from "./openapi-v2-protobuf.ts";
import { allResources } from "./resources/index.ts";
import { hasReference, referenceSwagger } from "./schema/reference-openapi.fixture.ts";

const document = openapiV2Document(allResources);
const encoded = encodeOpenapiV2(document);
const decoded = fromBinary(DocumentSchema, encoded);
const onePod = "/api/v1/namespaces/{namespace}/pods/{name}";

describe("the document", () => {
  it("resolves every reference inside itself", () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)];
    expect(references.length).toBeGreaterThan(100);
    for (const [, reference = ""] of references) {
      expect(reference).toMatch(/^#\/definitions\//);
      expect(document.definitions).toHaveProperty([reference.slice("#/definitions/".length)]);
    }
  });

  it("uses no words that v2 does not have", () => {
    expect(JSON.stringify(document)).not.toMatch(/"(allOf|oneOf|requestBody|content)":/);
  });

  it("says a string or a number is a string with a format", () => {
    expect(document.definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]).toMatchObject({
      type: "string",
      format: "int-or-string",
    });
  });
});

describe("the protobuf form", () => {
  it("says what the document says", () => {
    expect(decoded.swagger).toBe("2.0");
    expect(decoded.info).toMatchObject(document.info);
    expect(namedSchemas(decoded.definitions)).toEqual(document.definitions);
    const paths = decoded.paths?.path ?? [];
    expect(paths.map(({ name }) => name)).toEqual(Object.keys(document.paths));
    for (const { name, value } of paths) {
      const item = document.paths[name];
      expect(value?.parameters.map(parameterOf)).toEqual(item?.parameters);
      for (const method of ["get", "put", "post", "delete", "patch"] as const) {
        const of = value?.[method];
        expect(of && operationOf(of)).toEqual(item?.[method]);
      }
    }
  });

  it("has what kubectl 1.20 looks for before a dry run: dryRun on the PATCH of the kind", () => {
    const patch = decoded.paths?.path.find(({ name }) => name === onePod)?.value?.patch;
    const kind = patch?.vendorExtension.find(
      ({ name }) => name === "x-kubernetes-group-version-kind",
    );
    expect(parse(kind?.value?.yaml ?? "")).toEqual({ group: "", kind: "Pod", version: "v1" });
    expect(patch?.parameters.map((item) => parameterOf(item).name)).toContain("dryRun");
  });
});

describe.skipIf(!hasReference)("against the published v1.32 swagger.json", () => {
  it("has the published definitions but for words and which kinds share a definition", () => {
    const published = referenceSwagger().definitions;
    let compared = 0;
    for (const [name, schema] of Object.entries(document.definitions)) {
      const theirs = published[name];
      if (theirs === undefined) {
        // metrics.k8s.io is served by an aggregated server, so the document leaves it out.
        expect(name).toMatch(/\.metrics\./);
        continue;
      }
      compared += 1;
      expect([name, bare(schema)]).toEqual([name, bare(theirs)]);
    }
    expect(compared).toBeGreaterThan(150);
  });

  it("has the published kind and parameters on every PATCH", () => {
    const { paths, parameters } = referenceSwagger();
    const facts = (item: (typeof paths)[string] | undefined) => ({
      kind: item?.patch?.["x-kubernetes-group-version-kind"],
      // In some published lists the operation's parameters stand with the path.
      parameters: [...(item?.patch?.parameters ?? []), ...(item?.parameters ?? [])]
        .map((p) => ("$ref" in p ? parameters[String(p.$ref).slice("#/parameters/".length)] : p))
        .map((p) => `${p?.in} ${p?.name} ${p?.type} ${p?.required} ${JSON.stringify(p?.schema)}`)
        .sort(),
    });
    // A proxied request's parameters belong to what is behind the proxy.
    const patched = Object.entries(document.paths).filter(
      ([name, item]) => item.patch && !name.endsWith("/proxy"),
    );
    expect(patched.length).toBeGreaterThan(10);
    for (const [name, item] of patched)
      expect([name, facts(item)]).toEqual([name, facts(paths[name])]);
  });
});

function namedSchemas(
  of: { additionalProperties: { name: string; value?: Schema | undefined }[] } | undefined,
): Record<string, SchemaV2> {
  return Object.fromEntries(
    (of?.additionalProperties ?? []).map(({ name, value }) => [name, schemaOf(value!)]),
  );
}

function schemaOf(of: Schema): SchemaV2 {
  const [type] = of.type?.value ?? [];
  const [items] = of.items?.schema ?? [];
  const additional = of.additionalProperties?.oneof.value;
  return {
    ...(of.Ref && { $ref: of.Ref }),
    ...(type && { type }),
    ...(of.format && { format: of.format }),
    ...(of.description && { description: of.description }),
    ...(of.required.length > 0 && { required: of.required }),
    ...(of.properties && { properties: namedSchemas(of.properties) }),
    ...(items && { items: schemaOf(items) }),
    ...(additional && { additionalProperties: schemaOf(additional) }),
    ...extensionsOf(of.vendorExtension),
  };
}

function operationOf(of: Operation): object {
  return {
    description: of.description,
    operationId: of.operationId,
    tags: of.tags,
    consumes: of.consumes,
    produces: of.produces,
    parameters: of.parameters.map(parameterOf),
    responses: Object.fromEntries(
      (of.responses?.responseCode ?? []).map(({ name, value }) => {
        const response = value?.oneof.value;
        const schema = response?.schema?.oneof.value;
        return [
          name,
          { description: response?.description, ...(schema && { schema: schemaOf(schema) }) },
        ];
      }),
    ),
    ...extensionsOf(of.vendorExtension),
  };
}

function parameterOf(of: ParametersItem): ParameterV2 {
  const parameter = of.oneof.value?.oneof;
  if (parameter?.case === "bodyParameter") {
    const { name, required, schema } = parameter.value;
    return { in: "body", name, ...(required && { required }), schema: schemaOf(schema!) };
  }
  const value = parameter?.value?.oneof.value;
  const { name = "", description = "", type = "", uniqueItems = false } = value ?? {};
  const required = value && "required" in value && value.required;
  return {
    in: value?.in as "path" | "query",
    name,
    description,
    ...(required && { required }),
    type,
    uniqueItems,
  };
}

function extensionsOf(of: readonly NamedAny[]): Record<`x-${string}`, unknown> {
  return Object.fromEntries(of.map(({ name, value }) => [name, parse(value?.yaml ?? "")]));
}

/** Without wording, kinds that share a definition, union marks and atomic marks. */
function bare(schema: unknown): unknown {
  return JSON.parse(
    JSON.stringify(schema, (key, value) => {
      if (key === "description" && typeof value === "string") return undefined;
      if (/^x-kubernetes-(group-version-kind|unions|validations)$/.test(key)) return undefined;
      if (key === "x-kubernetes-list-type" && value === "atomic") return undefined;
      return key === "required" && Array.isArray(value) ? [...value].sort() : value;
    }),
  );
}
