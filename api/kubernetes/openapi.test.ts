import { describe, expect, it } from "vitest";
import { type OpenApiResource, openapiDocument, openapiIndex } from "./openapi.ts";
import { hasReference, referenceDocument } from "./schema/reference-openapi.fixture.ts";

const all = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const part = ["get", "patch", "update"];

const resources: readonly OpenApiResource[] = [
  {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    namespaced: true,
    verbs: all,
    subresources: [
      { name: "status", verbs: part },
      { name: "eviction", kind: { group: "policy", version: "v1", kind: "Eviction" } },
      { name: "binding", kind: { group: "", version: "v1", kind: "Binding" } },
      { name: "log", verbs: ["get"] },
      { name: "resize", type: "refused" },
    ],
  },
  {
    group: "",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    namespaced: false,
    verbs: all,
    subresources: [{ name: "status", verbs: part }],
  },
  {
    group: "node.k8s.io",
    version: "v1",
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    namespaced: false,
    verbs: all,
    subresources: [],
  },
];

interface Document {
  paths: Record<string, Record<string, Operation & { parameters?: Parameter[] }>>;
  components: { schemas: Record<string, { properties?: Record<string, Record<string, unknown>> }> };
}
interface Parameter {
  name: string;
  in: string;
  schema: { type: string };
}
interface Operation {
  parameters?: Parameter[];
  "x-kubernetes-action"?: string;
  "x-kubernetes-group-version-kind"?: object;
}

const documentOf = (path: string): Document =>
  JSON.parse(openapiDocument(path, resources)?.text ?? "");

describe("the index", () => {
  it("names each group/version with the hash of its document", () => {
    const hash = openapiDocument("api/v1", resources)?.hash;
    expect(hash).toMatch(/^[0-9A-F]{128}$/);
    expect(openapiIndex(resources)).toEqual({
      paths: {
        "api/v1": { serverRelativeURL: `/openapi/v3/api/v1?hash=${hash}` },
        "apis/node.k8s.io/v1": {
          serverRelativeURL: expect.stringMatching(
            /^\/openapi\/v3\/apis\/node\.k8s\.io\/v1\?hash=/,
          ),
        },
      },
    });
  });

  it("knows nothing of what is not served", () => {
    expect(openapiDocument("apis/apps/v1", resources)).toBeUndefined();
  });
});

describe("a document", () => {
  it("resolves every reference inside itself", () => {
    for (const path of ["api/v1", "apis/node.k8s.io/v1"]) {
      const { text } = openapiDocument(path, resources) ?? { text: "" };
      const { schemas } = documentOf(path).components;
      for (const [, name = ""] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
        expect(schemas).toHaveProperty([name]);
    }
  });

  it("offers fieldValidation and dryRun on every write of an object", () => {
    for (const method of ["patch", "put"]) {
      const item = documentOf("api/v1").paths["/api/v1/namespaces/{namespace}/pods/{name}"];
      expect(item?.[method]?.parameters?.map((p) => p.name)).toEqual(
        expect.arrayContaining(["dryRun", "fieldManager", "fieldValidation"]),
      );
    }
  });

  it("leaves out subresources that are refused", () => {
    expect(Object.keys(documentOf("api/v1").paths).some((path) => path.endsWith("/resize"))).toBe(
      false,
    );
  });

  it("carries merge keys where strategic merge needs them", () => {
    const spec = documentOf("api/v1").components.schemas["io.k8s.api.core.v1.PodSpec"];
    expect(spec?.properties?.containers).toMatchObject({
      "x-kubernetes-patch-merge-key": "name",
      "x-kubernetes-patch-strategy": "merge",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    });
  });
});

describe.skipIf(!hasReference)("against the published v1.32 documents", () => {
  const cases = [
    ["api/v1", "api__v1_openapi.json"],
    ["apis/node.k8s.io/v1", "apis__node.k8s.io__v1_openapi.json"],
  ] as const;

  it.each(cases)("%s has published paths, operations, kinds and parameters", (path, file) => {
    const reference = referenceDocument(file) as unknown as Document;
    for (const [name, item] of Object.entries(documentOf(path).paths)) {
      const published = reference.paths[name];
      expect([name, published !== undefined]).toEqual([name, true]);
      for (const [method, operation] of Object.entries(item)) {
        if (method === "parameters") continue;
        const theirs = published?.[method];
        const facts = (of: Operation | undefined) => ({
          action: of?.["x-kubernetes-action"],
          kind: of?.["x-kubernetes-group-version-kind"],
          // In some published lists the parameters stand with the path.
          parameters: [
            ...(of?.parameters ?? []),
            ...(((of === theirs ? published : item)?.parameters ?? []) as unknown as Parameter[]),
          ]
            .map((p) => `${p.in} ${p.name} ${p.schema.type}`)
            .sort(),
        });
        const isStream = name.endsWith("/log");
        if (!isStream)
          expect([name, method, facts(operation)]).toEqual([name, method, facts(theirs)]);
      }
    }
  });

  it.each(cases)("%s has the published schemas but for words and empty defaults", (path, file) => {
    const reference = referenceDocument(file) as unknown as Document;
    const { schemas } = documentOf(path).components;
    for (const [name, schema] of Object.entries(schemas)) {
      const published = reference.components.schemas[name];
      if (!published) continue;
      expect([name, bare(schema)]).toEqual([name, bare(published)]);
    }
  });
});

/** Without what may differ: wording, which kinds share a definition, `{}` defaults, atomic marks. */
function bare(schema: unknown): unknown {
  return JSON.parse(
    JSON.stringify(schema, (key, value) => {
      if (key === "description" && typeof value === "string") return undefined;
      if (key === "x-kubernetes-group-version-kind" || key === "x-kubernetes-unions")
        return undefined;
      if (key === "x-kubernetes-list-type" && value === "atomic") return undefined;
      if (key === "required" && Array.isArray(value)) return [...value].sort();
      if (key === "default" && typeof value !== "string") return undefined;
      if (key === "default" && value === "") return undefined;
      if (typeof value === "object" && value !== null && "allOf" in value) {
        const { allOf, ...rest } = value as { allOf: [{ $ref: string }] };
        return { ...rest, ...allOf[0] };
      }
      return value;
    }),
  );
}
