/** /api, /apis and the resource lists: plain, and aggregated in v2 and v2beta1 (KEP-3352). */
import type { ResourceDefinition, Subresource } from "../define-resource.ts";
import { apiVersionOf } from "../object.ts";
import type { Registry } from "../registry.ts";
import type { Negotiated } from "./negotiation.ts";

/** Undefined when the path is no discovery path. */
export function discover(
  registry: Registry,
  path: string,
  negotiated: Negotiated,
  serverAddress: string,
): object | undefined {
  const [root, group, version, ...more] = path.replace(/\/$/, "").split("/").slice(1);
  if (more.length > 0) return undefined;
  if (root === "api") {
    if (group === undefined) {
      return negotiated.discovery
        ? aggregated(registry, [""], negotiated.version)
        : coreVersions(serverAddress);
    }
    return version === undefined ? resourceList(registry, "", group) : undefined;
  }
  if (root !== "apis") return undefined;
  if (group === undefined) {
    return negotiated.discovery
      ? aggregated(registry, registry.groups, negotiated.version)
      : {
          kind: "APIGroupList",
          apiVersion: "v1",
          groups: registry.groups.map((name) => groupOf(registry, name)),
        };
  }
  if (!registry.groups.includes(group)) return undefined;
  return version === undefined
    ? { kind: "APIGroup", apiVersion: "v1", ...groupOf(registry, group) }
    : resourceList(registry, group, version);
}

function coreVersions(serverAddress: string) {
  return {
    kind: "APIVersions",
    versions: ["v1"],
    serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress }],
  };
}

function groupOf(registry: Registry, name: string) {
  const versions = registry.versions(name).map((version) => ({
    groupVersion: `${name}/${version}`,
    version,
  }));
  return { name, versions, preferredVersion: versions[0] };
}

function resourceList(registry: Registry, group: string, version: string): object | undefined {
  const definitions = registry.inGroupVersion(group, version);
  if (definitions.length === 0) return undefined;
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: apiVersionOf({ group, version }),
    resources: definitions.flatMap((definition) => [
      {
        name: definition.plural,
        singularName: definition.singular,
        namespaced: definition.namespaced,
        kind: definition.kind,
        verbs: [...definition.verbs].sort(),
        ...names(definition),
      },
      ...served(definition).map((subresource) => {
        const kind = kindOf(definition, subresource);
        return {
          name: `${definition.plural}/${subresource.name}`,
          singularName: "",
          namespaced: definition.namespaced,
          ...(apiVersionOf(kind) === apiVersionOf(definition)
            ? {}
            : { group: kind.group, version: kind.version }),
          kind: kind.kind,
          verbs: verbsOf(subresource),
        };
      }),
    ]),
  };
}

function aggregated(registry: Registry, groups: readonly string[], version: string): object {
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({
      metadata:
        group === "" ? { creationTimestamp: null } : { name: group, creationTimestamp: null },
      versions: registry.versions(group).map((groupVersion) => ({
        version: groupVersion,
        freshness: "Current",
        resources: registry
          .inGroupVersion(group, groupVersion)
          .map((definition) => aggregatedResource(definition)),
      })),
    })),
  };
}

function aggregatedResource(definition: ResourceDefinition): object {
  const subresources = served(definition).map((subresource) => ({
    subresource: subresource.name,
    responseKind: kindOf(definition, subresource),
    verbs: verbsOf(subresource),
  }));
  return {
    resource: definition.plural,
    responseKind: kindOf(definition),
    scope: definition.namespaced ? "Namespaced" : "Cluster",
    singularResource: definition.singular,
    verbs: [...definition.verbs].sort(),
    ...names(definition),
    ...(subresources.length === 0 ? {} : { subresources }),
  };
}

function names(definition: ResourceDefinition) {
  return {
    ...(definition.shortNames === undefined ? {} : { shortNames: definition.shortNames }),
    ...(definition.categories === undefined ? {} : { categories: definition.categories }),
  };
}

/** What is refused is not offered: clients then say so themselves. */
function served(definition: ResourceDefinition) {
  return definition.subresources.filter((subresource) => subresource.type !== "refused");
}

function kindOf(definition: ResourceDefinition, subresource?: Subresource) {
  if (subresource?.type === "action" || subresource?.type === "connect") return subresource.kind;
  const { group, version, kind } = definition;
  return { group, version, kind };
}

function verbsOf(subresource: Subresource): readonly string[] {
  if (subresource.type === "action") return ["create"];
  return subresource.type === "refused" ? [] : [...subresource.verbs].sort();
}
