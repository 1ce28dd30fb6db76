import { describe, expect, it } from "vitest";
import { definitionFor, definitions, shortName } from "./definitions.ts";
import { atomicStructs } from "./merge-facts.ts";
import { hasReference, referenceSchemas } from "./reference-openapi.fixture.ts";
import { childOf, elementOf, mergeFactOf, schemaOf } from "./schema.ts";

describe("definitions", () => {
  it("find a kind by its group and version", () => {
    expect(definitionFor({ group: "", version: "v1", kind: "Pod" })?.required).toBeUndefined();
    expect(
      definitionFor({ group: "node.k8s.io", version: "v1", kind: "RuntimeClass" })?.required,
    ).toEqual(["handler"]);
    expect(definitionFor({ group: "", version: "v2", kind: "Pod" })).toBeUndefined();
    expect(definitionFor({ group: "policy", version: "v1", kind: "DeleteOptions" })).toBeDefined();
  });

  it("lead from a pod to its containers' ports with their merge keys", () => {
    const pod = schemaOf({ group: "", version: "v1", kind: "Pod" });
    const containers = childOf(childOf(pod, "spec"), "containers");
    expect(containers?.merge.mergeKey).toBe("name");
    const ports = childOf(elementOf(containers), "ports");
    expect(ports?.merge).toMatchObject({
      mergeKey: "containerPort",
      listMapKeys: ["containerPort", "protocol"],
    });
    expect(childOf(pod, "constructor")).toBeUndefined();
  });
});

describe.skipIf(!hasReference)("against the published v1.32 documents", () => {
  const reference = hasReference ? referenceSchemas() : {};
  const shared = [...definitions].filter(([name]) => reference[name]?.properties);

  it("covers most of the definitions", () => {
    expect(shared.length).toBeGreaterThan(280);
  });

  it("has the same fields and the same required fields", () => {
    for (const [name, definition] of shared) {
      const wanted = reference[name];
      expect([name, ...Object.keys(definition.properties).sort()]).toEqual([
        name,
        ...Object.keys(wanted?.properties ?? {}).sort(),
      ]);
      expect([name, ...[...(definition.required ?? [])].sort()]).toEqual([
        name,
        ...[...(wanted?.required ?? [])].sort(),
      ]);
    }
  });

  it("has the same types, formats and quantities", () => {
    for (const [name, definition] of shared)
      for (const [field, schema] of Object.entries(definition.properties)) {
        const wanted = reference[name]?.properties?.[field] ?? {};
        expect([name, field, plain(schema)]).toEqual([name, field, plain(mine(wanted))]);
      }
  });

  it("has the same merge keys, strategies, list types and map types", () => {
    for (const [name, definition] of shared)
      for (const field of Object.keys(definition.properties)) {
        const wanted = reference[name]?.properties?.[field] ?? {};
        const fact = mergeFactOf(name, field);
        // Lists we do not list are atomic, which is also what an absent list-type means.
        const listType = wanted["x-kubernetes-list-type"];
        expect([name, field, { ...fact }]).toEqual([
          name,
          field,
          withoutUndefined({
            strategy: wanted["x-kubernetes-patch-strategy"],
            mergeKey: wanted["x-kubernetes-patch-merge-key"],
            listType: fact.listType === undefined && listType === "atomic" ? undefined : listType,
            listMapKeys: wanted["x-kubernetes-list-map-keys"],
            mapType: wanted["x-kubernetes-map-type"],
          }),
        ]);
      }
  });

  it("has the same atomic structs", () => {
    for (const [name] of shared)
      expect([name, atomicStructs.has(shortName(name))]).toEqual([
        name,
        reference[name]?.["x-kubernetes-map-type"] === "atomic",
      ]);
  });
});

function withoutUndefined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

function plain(schema: object): unknown {
  return JSON.parse(
    JSON.stringify(schema, (key, value) => (key === "description" ? undefined : value)),
  );
}

/** An OpenAPI v3 property in our compact form. */
function mine(schema: Record<string, unknown>): object {
  const allOf = schema.allOf as readonly Record<string, unknown>[] | undefined;
  const ref = (schema.$ref ?? allOf?.[0]?.$ref) as string | undefined;
  if (ref !== undefined) {
    const name = ref.slice(ref.lastIndexOf("/") + 1);
    switch (shortName(name)) {
      case "Quantity":
        return { type: "string", format: "quantity" };
      case "Time":
        return { type: "string", format: "date-time" };
      case "MicroTime":
        return { type: "string", format: "date-time-micro" };
      case "IntOrString":
        return { type: "any", format: "int-or-string" };
      case "FieldsV1":
        return { type: "any", format: "fields-v1" };
      case "RawExtension":
        return { type: "any" };
    }
    return { ref: name };
  }
  if (schema.type === "array") return { array: mine(schema.items as Record<string, unknown>) };
  if (schema.additionalProperties)
    return { map: mine(schema.additionalProperties as Record<string, unknown>) };
  return { type: schema.type, ...(schema.format ? { format: schema.format } : {}) };
}
