/** Where an object is stored, and the two forms it may have. */
import type { ObjectKey } from "../../store/store.ts";
import type { ApiContext } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { notFound } from "../status-errors.ts";
import type { NamedKey } from "./options.ts";

export function storeKey(definition: ResourceDefinition, key: NamedKey): ObjectKey {
  return {
    resource: definition.storage,
    namespace: definition.namespaced ? key.namespace : "",
    name: key.name,
  };
}

export function toStored(definition: ResourceDefinition, object: KubeObject): KubeObject {
  return definition.convert?.toStored(object) ?? object;
}

export function fromStored(definition: ResourceDefinition, object: KubeObject): KubeObject {
  return definition.convert?.fromStored(object) ?? object;
}

/** The object in this resource's version, or 404. */
export function getObject(
  context: ApiContext,
  definition: ResourceDefinition,
  key: NamedKey,
): KubeObject {
  const stored = context.store.get(storeKey(definition, key));
  if (stored === undefined) throw notFound(definition, key.name);
  return fromStored(definition, stored);
}

export function revisionOf(object: KubeObject): number {
  return Number(object.metadata.resourceVersion);
}
