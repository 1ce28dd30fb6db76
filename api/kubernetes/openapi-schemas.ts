/** The components.schemas of an OpenAPI v3 document: definitions in Kubernetes' published form. */
import {
  type Definition,
  definitionNameFor,
  definitions,
  type FieldSchema,
  type FieldType,
  type GroupVersionKind,
  shortName,
} from "./schema/definitions.ts";
import { atomicStructs } from "./schema/merge-facts.ts";
import { mergeFactOf } from "./schema/schema.ts";

type Schema = Record<string, unknown>;

const machinery = "io.k8s.apimachinery.pkg";

/** Types that are Go structs with a JSON form of their own. */
const leaves: Readonly<Record<string, { name: string; schema: Schema }>> = {
  quantity: {
    name: `${machinery}.api.resource.Quantity`,
    schema: {
      description:
        "Quantity is a fixed-point representation of a number. It provides convenient marshaling/unmarshaling in JSON and YAML, in addition to String() and AsInt64() accessors.",
      oneOf: [{ type: "string" }, { type: "number" }],
    },
  },
  "date-time": {
    name: `${machinery}.apis.meta.v1.Time`,
    schema: {
      description:
        "Time is a wrapper around time.Time which supports correct marshaling to YAML and JSON.  Wrappers are provided for many of the factory methods that the time package offers.",
      format: "date-time",
      type: "string",
    },
  },
  "date-time-micro": {
    name: `${machinery}.apis.meta.v1.MicroTime`,
    schema: {
      description: "MicroTime is version of Time with microsecond level precision.",
      format: "date-time",
      type: "string",
    },
  },
  "int-or-string": {
    name: `${machinery}.util.intstr.IntOrString`,
    schema: {
      description:
        "IntOrString is a type that can hold an int32 or a string.  When used in JSON or YAML marshalling and unmarshalling, it produces or consumes the inner type.  This allows you to have, for example, a JSON field that can accept a name or number.",
      format: "int-or-string",
      oneOf: [{ type: "integer" }, { type: "string" }],
    },
  },
  "fields-v1": {
    name: `${machinery}.apis.meta.v1.FieldsV1`,
    schema: {
      description:
        "FieldsV1 stores a set of fields in a data structure like a Trie, in JSON format.",
      type: "object",
    },
  },
  any: {
    name: `${machinery}.runtime.RawExtension`,
    schema: {
      description: "RawExtension is used to hold extensions in external versions.",
      type: "object",
    },
  },
};

/** The body of a PATCH. */
export const patchSchemaName = `${machinery}.apis.meta.v1.Patch`;

/** +default= markers of fields that may be left out; required scalars default to their zero value. */
const defaults: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  AzureDiskVolumeSource: {
    cachingMode: "ReadWrite",
    fsType: "ext4",
    kind: "Shared",
    readOnly: false,
  },
  ContainerPort: { protocol: "TCP" },
  ISCSIPersistentVolumeSource: { iscsiInterface: "default" },
  ISCSIVolumeSource: { iscsiInterface: "default" },
  RBDPersistentVolumeSource: { keyring: "/etc/ceph/keyring", pool: "rbd", user: "admin" },
  RBDVolumeSource: { keyring: "/etc/ceph/keyring", pool: "rbd", user: "admin" },
  ScaleIOPersistentVolumeSource: { fsType: "xfs", storageMode: "ThinProvisioned" },
  ScaleIOVolumeSource: { fsType: "xfs", storageMode: "ThinProvisioned" },
  ServicePort: { protocol: "TCP" },
};

/** Schemas of these kinds and of all they refer to, sorted by name. */
export function openapiSchemas(kinds: readonly GroupVersionKind[]): Record<string, Schema> {
  const schemas = new Map<string, Schema>([
    [
      patchSchemaName,
      {
        description:
          "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.",
        type: "object",
      },
    ],
  ]);
  const visit = (name: string): void => {
    const definition = definitions.get(name);
    if (!definition || schemas.has(name)) return;
    const schema: Schema = {};
    schemas.set(name, schema);
    Object.assign(
      schema,
      structSchema(name, definition, kinds, (ref) => {
        const leaf = Object.values(leaves).find((candidate) => candidate.name === ref);
        if (leaf) schemas.set(ref, leaf.schema);
        else visit(ref);
      }),
    );
  };
  for (const kind of kinds) {
    const name = definitionNameFor(kind);
    if (name !== undefined) visit(name);
  }
  return Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function structSchema(
  name: string,
  definition: Definition,
  kinds: readonly GroupVersionKind[],
  visit: (ref: string) => void,
): Schema {
  const short = shortName(name);
  const properties: Record<string, Schema> = {};
  for (const [field, schema] of Object.entries(definition.properties)) {
    const required = definition.required?.includes(field) ?? false;
    properties[field] = {
      ...fieldSchema(schema, visit),
      ...defaultOf(short, field, schema, required),
      ...mergeExtensions(name, field, schema),
    };
  }
  const gvks = kinds.filter((kind) => definitionNameFor(kind) === name);
  return {
    ...(definition.description && { description: definition.description }),
    properties,
    ...(definition.required && { required: definition.required }),
    type: "object",
    ...(gvks.length > 0 && {
      "x-kubernetes-group-version-kind": gvks.map(({ group, kind, version }) => ({
        group,
        kind,
        version,
      })),
    }),
    ...(atomicStructs.has(short) && { "x-kubernetes-map-type": "atomic" }),
  };
}

function fieldSchema(schema: FieldSchema, visit: (ref: string) => void): Schema {
  const type = typeSchema(schema, visit);
  const ref = type.$ref;
  // A $ref may have no siblings: a description needs allOf around it.
  const description =
    schema.description ?? (schema.ref && definitions.get(schema.ref)?.description);
  return {
    ...(ref === undefined ? type : { allOf: [{ $ref: ref }] }),
    ...(description && { description }),
  };
}

function typeSchema(type: FieldType, visit: (ref: string) => void): Schema {
  if (type.array) return { items: typeSchema(type.array, visit), type: "array" };
  if (type.map) return { additionalProperties: typeSchema(type.map, visit), type: "object" };
  const leaf = leaves[type.format ?? ""] ?? (type.type === "any" ? leaves.any : undefined);
  const ref = type.ref ?? leaf?.name;
  if (ref !== undefined) {
    visit(ref);
    return { $ref: `#/components/schemas/${ref}` };
  }
  return { type: type.type, ...(type.format && { format: type.format }) };
}

function defaultOf(short: string, field: string, type: FieldType, required: boolean): Schema {
  const own = defaults[short]?.[field];
  if (own !== undefined) return { default: own };
  if (!required || type.array || type.map || type.ref !== undefined) return {};
  switch (type.type) {
    case "string":
      return leaves[type.format ?? ""] || type.format === "byte" ? {} : { default: "" };
    case "boolean":
      return { default: false };
    case "integer":
      return { default: 0 };
  }
  return {};
}

function mergeExtensions(name: string, field: string, type: FieldType): Schema {
  const fact = mergeFactOf(name, field);
  // Lists without a type of their own are atomic, except the items of lists.
  const listType =
    fact.listType ?? (type.array && !/List$/.test(name) && !fact.strategy ? "atomic" : undefined);
  return {
    ...(fact.listMapKeys && { "x-kubernetes-list-map-keys": fact.listMapKeys }),
    ...(listType && { "x-kubernetes-list-type": listType }),
    ...(fact.mapType && { "x-kubernetes-map-type": fact.mapType }),
    ...(fact.mergeKey && { "x-kubernetes-patch-merge-key": fact.mergeKey }),
    ...(fact.strategy && { "x-kubernetes-patch-strategy": fact.strategy }),
  };
}
