/** Finds the form of a resource. */
import type { ResourceDefinition, Subresource } from "./define-resource.ts";
import { apiVersionOf } from "./object.ts";

export interface Registry {
  readonly resources: readonly ResourceDefinition[];
  find(group: string, version: string, plural: string): ResourceDefinition | undefined;
  /** By kind, as owner references name it. */
  findKind(apiVersion: string, kind: string): ResourceDefinition | undefined;
  /** The one form whose version is the stored one. */
  stored(storage: string): ResourceDefinition;
  /** Group names other than core, in the order of the forms. */
  readonly groups: readonly string[];
  versions(group: string): readonly string[];
  inGroupVersion(group: string, version: string): readonly ResourceDefinition[];
}

export function createRegistry(resources: readonly ResourceDefinition[]): Registry {
  const byPath = new Map(resources.map((r) => [`${r.group}/${r.version}/${r.plural}`, r]));
  const byKind = new Map(
    resources.filter((r) => !r.review).map((r) => [`${apiVersionOf(r)}/${r.kind}`, r]),
  );
  const byStorage = new Map(resources.filter((r) => !r.convert).map((r) => [r.storage, r]));
  return {
    resources,
    find: (group, version, plural) => byPath.get(`${group}/${version}/${plural}`),
    findKind: (apiVersion, kind) => byKind.get(`${apiVersion}/${kind}`),
    stored: (storage) => {
      const definition = byStorage.get(storage);
      if (definition === undefined) throw new Error(`no resource is stored as ${storage}`);
      return definition;
    },
    groups: [...new Set(resources.map((r) => r.group))].filter((group) => group !== ""),
    versions: (group) => [
      ...new Set(resources.filter((r) => r.group === group).map((r) => r.version)),
    ],
    inGroupVersion: (group, version) =>
      resources.filter((r) => r.group === group && r.version === version),
  };
}

export function findSubresource(
  definition: ResourceDefinition,
  name: string,
): Subresource | undefined {
  return definition.subresources.find((subresource) => subresource.name === name);
}
