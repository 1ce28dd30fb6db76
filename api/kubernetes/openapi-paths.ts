/** The paths of an OpenAPI v3 document: one operation for each verb of each resource. */
import { operationParameters, pathParameters } from "./openapi-parameters.ts";
import { patchSchemaName } from "./openapi-schemas.ts";
import { definitionNameFor, type GroupVersionKind } from "./schema/definitions.ts";

/** What the documents need to know of a resource; a ResourceDefinition fits. */
export interface OpenApiResource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly subresources: readonly OpenApiSubresource[];
}

export interface OpenApiSubresource {
  readonly name: string;
  /** "refused" subresources are left out. */
  readonly type?: string;
  /** Kind of the body; default: the resource's own. */
  readonly kind?: GroupVersionKind | undefined;
  /** Default: create. */
  readonly verbs?: readonly string[];
}

/** `api/v1`, `apis/node.k8s.io/v1` */
export function groupVersionPath({ group, version }: { group: string; version: string }): string {
  return group === "" ? `api/${version}` : `apis/${group}/${version}`;
}

type PathItem = Record<string, unknown>;

interface Operation {
  readonly method: "delete" | "get" | "patch" | "post" | "put";
  /** x-kubernetes-action */
  readonly action: string;
  readonly verb: string;
}

const collectionOperations: readonly Operation[] = [
  { method: "delete", action: "deletecollection", verb: "deletecollection" },
  { method: "get", action: "list", verb: "list" },
  { method: "post", action: "post", verb: "create" },
];

const objectOperations: readonly Operation[] = [
  { method: "delete", action: "delete", verb: "delete" },
  { method: "get", action: "get", verb: "get" },
  { method: "patch", action: "patch", verb: "patch" },
  { method: "put", action: "put", verb: "update" },
];

const subresourceOperations: readonly Operation[] = [
  ...objectOperations,
  { method: "post", action: "post", verb: "create" },
];

const readTypes = ["application/json", "application/yaml"];

/** Paths of resources of one group/version, and the kinds their bodies have. */
export function openapiPaths(resources: readonly OpenApiResource[]): {
  paths: Record<string, PathItem>;
  kinds: GroupVersionKind[];
} {
  const paths = new Map<string, PathItem>();
  const kinds = new Map<string, GroupVersionKind>();
  const use = (kind: GroupVersionKind) => {
    kinds.set(`${kind.group}/${kind.version}/${kind.kind}`, kind);
    return kind;
  };
  for (const resource of resources) {
    const { group, version } = resource;
    const base = `/${groupVersionPath(resource)}`;
    const collection = resource.namespaced
      ? `${base}/namespaces/{namespace}/${resource.plural}`
      : `${base}/${resource.plural}`;
    const own = use({ group, version, kind: resource.kind });
    const list = { group, version, kind: `${resource.kind}List` };
    if (resource.verbs.includes("list")) use(list);
    for (const kind of ["Status", "DeleteOptions"]) use({ group, version, kind });
    const add = (
      path: string,
      operations: readonly Operation[],
      verbs: readonly string[],
      body: GroupVersionKind,
    ) => {
      const wanted = operations.filter(({ verb }) => verbs.includes(verb));
      if (wanted.length === 0) return;
      const item: PathItem = paths.get(path) ?? {};
      for (const operation of wanted)
        item[operation.method] = describe(
          operation,
          resource,
          body,
          operation.verb === "list" ? list : body,
        );
      item.parameters = pathParameters(path);
      paths.set(path, item);
    };
    add(collection, collectionOperations, resource.verbs, own);
    if (resource.namespaced && resource.verbs.includes("list"))
      add(`${base}/${resource.plural}`, collectionOperations, ["list"], own);
    add(`${collection}/{name}`, objectOperations, resource.verbs, own);
    for (const subresource of resource.subresources) {
      if (subresource.type === "refused") continue;
      const body = bodyKind(subresource, own);
      if (definitionNameFor(body) !== undefined) use(body);
      const verbs = subresource.verbs ?? ["create"];
      add(`${collection}/{name}/${subresource.name}`, subresourceOperations, verbs, body);
    }
  }
  const sorted = [...paths].sort(([a], [b]) => (a < b ? -1 : 1));
  return { paths: Object.fromEntries(sorted), kinds: [...kinds.values()] };
}

function bodyKind(subresource: OpenApiSubresource, own: GroupVersionKind): GroupVersionKind {
  return subresource.kind ?? own;
}

function describe(
  operation: Operation,
  resource: OpenApiResource,
  body: GroupVersionKind,
  answer: GroupVersionKind,
): object {
  const { method, action, verb } = operation;
  const deletes = method === "delete";
  const ok = verb === "deletecollection" ? { ...body, kind: "Status" } : answer;
  const content = (kind: GroupVersionKind) =>
    Object.fromEntries(readTypes.map((type) => [type, { schema: schemaOf(kind) }]));
  const codes = {
    delete: [200, 202],
    get: [200],
    patch: [200, 201],
    post: [200, 201, 202],
    put: [200, 201],
  };
  const texts: Readonly<Record<number, string>> = { 200: "OK", 201: "Created", 202: "Accepted" };
  return {
    description: `${action === "list" ? "list or watch objects of kind" : action} ${body.kind}`,
    operationId: `${verb}${resource.version}${resource.plural}${body.kind}`,
    parameters: operationParameters(verb),
    ...(method === "patch" && { requestBody: { content: patchContent(), required: true } }),
    ...((method === "post" || method === "put") && {
      requestBody: { content: { "*/*": { schema: schemaOf(body) } }, required: true },
    }),
    ...(deletes && {
      requestBody: { content: { "*/*": { schema: schemaOf({ ...body, kind: "DeleteOptions" }) } } },
    }),
    responses: {
      ...Object.fromEntries(
        codes[method].map((code) => [code, { content: content(ok), description: texts[code] }]),
      ),
      401: { description: "Unauthorized" },
    },
    tags: [`${resource.group.split(".")[0] || "core"}_${resource.version}`],
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": {
      group: body.group,
      kind: body.kind,
      version: body.version,
    },
  };
}

function patchContent(): object {
  const types = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
  ];
  const schema = { $ref: `#/components/schemas/${patchSchemaName}` };
  return Object.fromEntries(types.map((type) => [type, { schema }]));
}

/** Bodies without a definition (log text, streams) are strings. */
function schemaOf(kind: GroupVersionKind): object {
  const name = definitionNameFor(kind);
  return name === undefined ? { type: "string" } : { $ref: `#/components/schemas/${name}` };
}
