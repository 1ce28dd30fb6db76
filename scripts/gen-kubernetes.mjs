// Writes proto/kubernetes/gen/types.ts (JSON-true interfaces with Kubernetes' own names) and
// proto/kubernetes/gen/schema.json (compact definitions) from the models of the npm package
// @kubernetes/client-node, which are themselves generated from Kubernetes' OpenAPI. No network.
//
// Shape of schema.json: { source, definitions: { <OpenAPI name>: Definition } }
//   Definition = { description?, gvk?: {group, version, kind}, required?: string[], properties: { <wire name>: Property } }
//   Property   = Type & { description? }
//   Type       = { type: "string" | "boolean" | "integer" | "number" | "any", format? }
//              | { ref: <OpenAPI name> } | { array: Type } | { map: Type }
// Formats: date-time, date-time-micro, byte, int32, int64, double, int-or-string, quantity, fields-v1.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  packages,
  quantityFields,
  requiredUntil133,
  since133,
} from "../proto/kubernetes/model-facts.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const outDir = join(root, "proto/kubernetes/gen");
const manifest = findManifest();
const modelsDir = join(dirname(manifest), "dist/gen/models");
const clientVersion = JSON.parse(readFileSync(manifest, "utf8")).version;
const known = new Set(
  readdirSync(modelsDir)
    .filter((file) => file.endsWith(".d.ts"))
    .map((file) => file.slice(0, -".d.ts".length)),
);

/** model name → { openapi, typeName, gvk, model } in the order of discovery */
const chosen = new Map();
for (const entry of packages) for (const kind of entry.roots) visit(modelNameOf(kind), entry, true);

const definitions = {};
for (const item of [...chosen.values()].sort((a, b) => (a.openapi < b.openapi ? -1 : 1))) {
  const properties = {};
  const required = [];
  for (const field of item.model.fields) {
    properties[field.wireName] = {
      ...schemaType(field, item),
      ...(field.description && { description: field.description }),
    };
    if (!field.optional || requiredUntil133[item.typeName]?.includes(field.wireName))
      required.push(field.wireName);
  }
  definitions[item.openapi] = {
    ...(item.model.description && { description: item.model.description }),
    ...(item.gvk && { gvk: item.gvk }),
    ...(required.length > 0 && { required }),
    properties,
  };
}

mkdirSync(outDir, { recursive: true });
writeFileSync(
  join(outDir, "schema.json"),
  `${JSON.stringify({ source: `@kubernetes/client-node ${clientVersion}`, definitions })}\n`,
);
writeFileSync(join(outDir, "types.ts"), typesFile());

function findManifest() {
  // The package's exports hide package.json, so walk up from its entry file.
  let dir = dirname(createRequire(import.meta.url).resolve("@kubernetes/client-node"));
  for (;;) {
    try {
      const path = join(dir, "package.json");
      if (JSON.parse(readFileSync(path, "utf8")).name === "@kubernetes/client-node") return path;
    } catch {}
    if (dir === dirname(dir)) throw new Error("the package @kubernetes/client-node is incomplete");
    dir = dirname(dir);
  }
}

/** `Pod` → `V1Pod`; names that are ambiguous across groups carry their group already. */
function modelNameOf(kind) {
  const name = known.has(`V1${kind}`) ? `V1${kind}` : kind;
  if (!known.has(name)) throw new Error(`@kubernetes/client-node has no model for ${kind}`);
  return name;
}

function visit(modelName, entry, isRoot) {
  if (chosen.has(modelName)) return;
  const model = readModel(modelName);
  const kind = modelName.replace(/^(?:[A-Z][a-z]+)?V1(?=[A-Z])/, "");
  const typeName = modelName.startsWith("V1") ? modelName.slice(2) : modelName;
  const isTopLevel = model.fields.some((f) => f.wireName === "apiVersion");
  chosen.set(modelName, {
    openapi: `${entry.openapi}.${kind}`,
    typeName,
    model,
    // The removal list is keyed by type; ObjectReference and its like carry apiVersion but are no roots.
    gvk: isRoot && isTopLevel ? { group: entry.group, version: "v1", kind } : undefined,
  });
  model.fields = model.fields.filter((f) => !since133[typeName]?.includes(f.wireName));
  for (const field of model.fields)
    for (const name of field.type.match(/\w+/g) ?? [])
      if (known.has(name) && name !== "V1MicroTime") visit(name, entry, false);
}

function readModel(modelName) {
  const script = readFileSync(join(modelsDir, `${modelName}.js`), "utf8");
  const map = /attributeTypeMap = (\[[\s\S]*?\n?\]);/.exec(script)?.[1];
  if (map === undefined) throw new Error(`${modelName}.js has no attributeTypeMap`);
  const declared = declarations(readFileSync(join(modelsDir, `${modelName}.d.ts`), "utf8"));
  const fields = JSON.parse(map).map((attribute) => ({
    wireName: attribute.baseName,
    type: attribute.type,
    format: attribute.format,
    ...(declared.fields.get(attribute.name) ?? { optional: true, description: undefined }),
  }));
  return { description: declared.description, fields };
}

/** Required/optional and descriptions: they stand only in the .d.ts. */
function declarations(text) {
  const body = text.indexOf("export declare class");
  const heads = [...text.slice(0, body).matchAll(/\/\*\*([\s\S]*?)\*\//g)];
  const fields = new Map();
  const pattern = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?'(\w+)'(\??):/g;
  for (const [, comment, name, mark] of text.slice(body).matchAll(pattern))
    fields.set(name, { optional: mark === "?", description: commentText(comment) });
  return { description: commentText(heads.length > 1 ? heads.at(-1)[1] : undefined), fields };
}

function commentText(comment) {
  if (comment === undefined) return undefined;
  const text = comment
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, "").trim())
    .filter((line) => line !== "")
    .join(" ");
  return text.replace(/\\(['"`\\])/g, "$1") || undefined;
}

function schemaType(field, item) {
  const isQuantity = quantityFields[item.typeName]?.includes(field.wireName) ?? false;
  return parseType(field.type, isQuantity ? "quantity" : field.format, field.wireName);
}

function parseType(text, format, wireName) {
  const array = /^Array<(.*)>$/.exec(text);
  if (array) return { array: parseType(array[1], format, wireName) };
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(text);
  if (map) return { map: parseType(map[1], format, wireName) };
  if (text === "V1MicroTime") return { type: "string", format: "date-time-micro" };
  if (text === "IntOrString") return { type: "any", format: "int-or-string" };
  if (known.has(text)) return { ref: chosen.get(text).openapi };
  switch (text) {
    case "string":
      return { type: "string", ...(format && { format }) };
    case "Date":
      return { type: "string", format: format || "date-time" };
    case "boolean":
      return { type: "boolean" };
    case "number":
      return format === "double"
        ? { type: "number", format }
        : { type: "integer", format: format || "int32" };
    case "any":
    case "object":
      return { type: "any", ...(wireName === "fieldsV1" && { format: "fields-v1" }) };
    default:
      throw new Error(`the generator does not know the type ${text}`);
  }
}

function typesFile() {
  const typeNames = new Map([...chosen.values()].map((item) => [item.openapi, item.typeName]));
  const lines = [
    "// Kubernetes objects exactly as they are in JSON: times and quantities are strings.",
    `// Generated by scripts/gen-kubernetes.mjs from @kubernetes/client-node ${clientVersion}. Do not edit.`,
    "",
    "/** util/intstr.IntOrString: a number or a name. */",
    "export type IntOrString = number | string;",
    "/** resource.Quantity in its text form. */",
    "export type Quantity = string;",
    "/** metav1.Time, RFC 3339 with seconds. */",
    "export type Time = string;",
    "/** metav1.MicroTime, RFC 3339 with microseconds. */",
    "export type MicroTime = string;",
  ];
  for (const item of [...chosen.values()].sort((a, b) => (a.typeName < b.typeName ? -1 : 1))) {
    lines.push("");
    if (item.model.description) lines.push(docComment(item.model.description, ""));
    lines.push(`export interface ${item.typeName} {`);
    const definition = definitions[item.openapi];
    for (const [name, property] of Object.entries(definition.properties)) {
      if (property.description) lines.push(docComment(property.description, "  "));
      const mark = definition.required?.includes(name) ? "" : "?";
      const key = /^[A-Za-z]\w*$/.test(name) ? name : JSON.stringify(name);
      lines.push(
        `  ${key}${mark}: ${literalType(name, item, property) ?? typeText(property, typeNames)};`,
      );
    }
    lines.push("}");
  }
  return `${lines.join("\n")}\n`;
}

function literalType(name, item) {
  if (item.gvk === undefined) return undefined;
  if (name === "kind") return JSON.stringify(item.gvk.kind);
  if (name === "apiVersion")
    return JSON.stringify([item.gvk.group, item.gvk.version].filter(Boolean).join("/"));
  return undefined;
}

function typeText(type, typeNames) {
  if (type.ref) return typeNames.get(type.ref);
  if (type.array) return `${typeText(type.array, typeNames)}[]`;
  if (type.map) return `{ [key: string]: ${typeText(type.map, typeNames)} }`;
  switch (type.format) {
    case "int-or-string":
      return "IntOrString";
    case "quantity":
      return "Quantity";
    case "date-time":
      return "Time";
    case "date-time-micro":
      return "MicroTime";
    case "fields-v1":
      return "Record<string, unknown>";
  }
  return {
    string: "string",
    boolean: "boolean",
    integer: "number",
    number: "number",
    any: "unknown",
  }[type.type];
}

function docComment(text, indent) {
  return `${indent}/** ${text.replaceAll("*/", "* /")} */`;
}
