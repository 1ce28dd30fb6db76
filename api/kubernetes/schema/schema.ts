/**
 * What a field of a Kubernetes object is: its type and how it merges. The way in to the generated
 * definitions for patching, decoding and OpenAPI.
 */
import {
  type Definition,
  definitionNameFor,
  definitions,
  type FieldSchema,
  type FieldType,
  type GroupVersionKind,
  shortName,
} from "./definitions.ts";
import { type MergeFact, mergeFacts } from "./merge-facts.ts";

export type {
  Definition,
  FieldSchema,
  FieldType,
  GroupVersionKind,
} from "./definitions.ts";

const noFact: MergeFact = {};

/** A place in an object: the struct it is in (if it is one) and how it merges. */
export interface SchemaNode {
  readonly type: FieldType;
  readonly merge: MergeFact;
}

/** The root of a kind; undefined when the kind has no definition (then nothing is known of it). */
export function schemaOf(gvk: GroupVersionKind): SchemaNode | undefined {
  const ref = definitionNameFor(gvk);
  return ref === undefined ? undefined : { type: { ref }, merge: noFact };
}

/** A Go struct: its OpenAPI name and its definition. */
export interface Struct {
  readonly name: string;
  readonly definition: Definition;
}

/** The struct a node holds; undefined for scalars, lists and maps. */
export function structOf(type: FieldType): Struct | undefined {
  if (type.ref === undefined) return undefined;
  const definition = definitions.get(type.ref);
  return definition && { name: type.ref, definition };
}

/**
 * One step down by JSON name: a struct's field or a map's value. Undefined when there is no such
 * field, or when the node is open (any JSON).
 */
export function childOf(node: SchemaNode | undefined, key: string): SchemaNode | undefined {
  if (node === undefined) return undefined;
  if (node.type.map) return { type: node.type.map, merge: noFact };
  const struct = structOf(node.type);
  const field = struct && own(struct.definition.properties, key);
  return struct && field && { type: field, merge: mergeFactOf(struct.name, key) };
}

/** The element of a list; undefined when the node is no list. */
export function elementOf(node: SchemaNode | undefined): SchemaNode | undefined {
  return node?.type.array && { type: node.type.array, merge: noFact };
}

/** The merge tags of a struct's field, by the struct's OpenAPI name. */
export function mergeFactOf(definitionName: string, field: string): MergeFact {
  const facts = own(mergeFacts, shortName(definitionName));
  return (facts && own(facts, field)) ?? noFact;
}

/** A field's schema in a definition, safe for names such as "constructor". */
export function fieldOf(definition: Definition, name: string): FieldSchema | undefined {
  return own(definition.properties, name);
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
