/** One verb on one resource: from a request to an answer. Source: apiserver pkg/endpoints/handlers. */
import { apiError } from "../../errors.ts";
import { invalid as invalidField, notSupported } from "../admission/validation/field-error.ts";
import type { ResourceDefinition, Verb } from "../define-resource.ts";
import { createObject } from "../generic/create.ts";
import { deleteObject } from "../generic/delete.ts";
import { parseDeleteOptions } from "../generic/delete-options.ts";
import { getObject } from "../generic/keys.ts";
import { listObjects, parseSelection } from "../generic/list.ts";
import type { WriteOptions } from "../generic/options.ts";
import { updateObject } from "../generic/update.ts";
import type { KubeObject } from "../object.ts";
import { invalid, methodNotAllowed, noSuchPath } from "../status-errors.ts";
import type { HandlerContext, KubeAnswer, KubeRequest } from "./exchange.ts";
import { assertPatchType, patchObject, readObject, readOptions } from "./request-body.ts";
import type { ResourcePath } from "./request-info.ts";
import { handleSubresource } from "./subresource-handler.ts";
import { serveWatch } from "./watch.ts";

export function handleResource(
  context: HandlerContext,
  path: ResourcePath,
  request: KubeRequest,
): KubeAnswer {
  const definition = context.registry.find(path.group, path.version, path.plural);
  if (definition === undefined) throw noSuchPath();
  if (!definition.namespaced && path.namespace !== "") throw noSuchPath();
  if (path.subresource !== "") return handleSubresource(context, definition, path, request);
  if (definition.namespaced && path.namespace === "" && (path.name !== "" || isCreate(request))) {
    throw noSuchPath();
  }
  const verb = verbOf(request, path.name !== "");
  if (verb === undefined || !definition.verbs.includes(verb)) throw methodNotAllowed();
  return verbs[verb](context, definition, path, request);
}

type Handler = (
  context: HandlerContext,
  definition: ResourceDefinition,
  path: ResourcePath,
  request: KubeRequest,
) => KubeAnswer;

const verbs: Readonly<Record<Verb, Handler>> = {
  get: (context, definition, path) =>
    objectAnswer(definition, getObject(context, definition, path)),

  list: (context, definition, path, request) => ({
    type: "list",
    definition,
    ...listObjects(context, definition, path.namespace || undefined, request.query),
  }),

  watch: (context, definition, path, request) => {
    if (path.name !== "") request.query.set("fieldSelector", `metadata.name=${path.name}`);
    return serveWatch(context, { definition, namespace: path.namespace || undefined }, request);
  },

  create(context, definition, path, request) {
    const object = readObject(request, definition);
    if (definition.review !== undefined) {
      return objectAnswer(definition, definition.review(context, object, request.user), 201);
    }
    assertNamespace(object, path.namespace);
    const created = createObject(
      context,
      definition,
      path.namespace,
      object,
      writeOptions(request),
    );
    return objectAnswer(definition, created, 201);
  },

  update(context, definition, path, request) {
    const object = readObject(request, definition);
    assertUrlMatches(definition, object, path);
    const options = { ...writeOptions(request), road: "main" as const };
    return objectAnswer(
      definition,
      updateObject(context, definition, path, () => object, options),
    );
  },

  patch(context, definition, path, request) {
    assertPatchType(request, definition);
    const options = { ...writeOptions(request), road: "main" as const };
    return objectAnswer(
      definition,
      updateObject(
        context,
        definition,
        path,
        (current) => patchObject(request, definition, current),
        options,
      ),
    );
  },

  delete(context, definition, path, request) {
    const options = parseDeleteOptions(readOptions(request), request.query);
    const { object, gone } = deleteObject(context, definition, path, options);
    if (!gone || definition.returnsDeletedObject) return objectAnswer(definition, object);
    return { type: "document", status: 200, object: deletedStatus(definition, object) };
  },

  deletecollection(context, definition, path, request) {
    const options = parseDeleteOptions(readOptions(request), request.query);
    parseSelection(definition, request.query);
    const { items, metadata } = listObjects(
      context,
      definition,
      path.namespace || undefined,
      request.query,
    );
    for (const { metadata: found } of items) {
      const key = { namespace: found.namespace ?? "", name: found.name ?? "" };
      deleteObject(context, definition, key, { ...options, uid: found.uid });
    }
    return { type: "list", definition, items, metadata };
  },
};

export function objectAnswer(
  definition: ResourceDefinition,
  object: KubeObject,
  status = 200,
): KubeAnswer {
  return { type: "object", status, object, definition };
}

export function writeOptions(request: KubeRequest): WriteOptions {
  const dryRun = request.query.getAll("dryRun").filter((value) => value !== "");
  if (dryRun.some((value) => value !== "All")) {
    throw invalid({ group: "meta.k8s.io", kind: "CreateOptions" }, "", [
      notSupported("dryRun", dryRun, ["All"]),
    ]);
  }
  return { dryRun: dryRun.length > 0, warn: request.warn };
}

/** The checks a PUT of a whole object makes before anything is read. */
export function assertUrlMatches(
  definition: ResourceDefinition,
  object: KubeObject,
  path: ResourcePath,
): void {
  const { name, resourceVersion } = object.metadata;
  if (!name) throw apiError("BAD_REQUEST", "name must be provided");
  if (name !== path.name) {
    throw apiError(
      "BAD_REQUEST",
      `the name of the object (${name}) does not match the name on the URL (${path.name})`,
    );
  }
  assertNamespace(object, path.namespace);
  if (definition.updateNeedsVersion && !resourceVersion) {
    throw invalid(definition, name, [
      invalidField("metadata.resourceVersion", 0, "must be specified for an update"),
    ]);
  }
}

function assertNamespace(object: KubeObject, namespace: string): void {
  const given = object.metadata.namespace;
  if (namespace !== "" && given && given !== namespace) {
    throw apiError(
      "BAD_REQUEST",
      `the namespace of the provided object does not match the namespace sent on the request`,
    );
  }
}

function deletedStatus(definition: ResourceDefinition, object: KubeObject): KubeObject {
  const { name, uid } = object.metadata;
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: {
      name,
      ...(definition.group === "" ? {} : { group: definition.group }),
      kind: definition.plural,
      uid,
    },
  };
}

function isCreate(request: KubeRequest): boolean {
  return request.method === "POST";
}

function verbOf(request: KubeRequest, named: boolean): Verb | undefined {
  switch (request.method) {
    case "GET":
    case "HEAD":
      return isWatch(request.query) ? "watch" : named ? "get" : "list";
    case "POST":
      return named ? undefined : "create";
    case "PUT":
      return named ? "update" : undefined;
    case "PATCH":
      return named ? "patch" : undefined;
    case "DELETE":
      return named ? "delete" : "deletecollection";
    default:
      return undefined;
  }
}

function isWatch(query: URLSearchParams): boolean {
  const value = query.get("watch");
  return value === "true" || value === "1" || value === "";
}
