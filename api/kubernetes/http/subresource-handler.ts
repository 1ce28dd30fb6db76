/** Requests under an object: /status, /binding, /log … */
import { apiError } from "../../errors.ts";
import type { ActionSubresource, PartSubresource, ResourceDefinition } from "../define-resource.ts";
import { getObject } from "../generic/keys.ts";
import { updateObject } from "../generic/update.ts";
import { findSubresource } from "../registry.ts";
import { methodNotAllowed, noSuchPath } from "../status-errors.ts";
import type { HandlerContext, KubeAnswer, KubeRequest } from "./exchange.ts";
import { assertPatchType, patchObject, readObject } from "./request-body.ts";
import type { ResourcePath } from "./request-info.ts";
import { assertUrlMatches, objectAnswer, writeOptions } from "./resource-handler.ts";

export function handleSubresource(
  context: HandlerContext,
  definition: ResourceDefinition,
  path: ResourcePath,
  request: KubeRequest,
): KubeAnswer {
  const subresource = findSubresource(definition, path.subresource);
  if (subresource === undefined) throw noSuchPath();
  switch (subresource.type) {
    case "part":
      return handlePart(context, definition, subresource, path, request);
    case "action":
      return handleAction(context, definition, subresource, path, request);
    case "connect":
      return context.kubelet.forward({ definition, ...path }, request);
    case "refused":
      throw apiError("NOT_SIMULATED", subresource.reason);
  }
}

function handlePart(
  context: HandlerContext,
  definition: ResourceDefinition,
  part: PartSubresource,
  path: ResourcePath,
  request: KubeRequest,
): KubeAnswer {
  const verb = { GET: "get", PUT: "update", PATCH: "patch" }[request.method];
  if (!part.verbs.some((allowed) => allowed === verb)) throw methodNotAllowed();
  if (verb === "get") return objectAnswer(definition, getObject(context, definition, path));
  const options = { ...writeOptions(request), road: part };
  if (verb === "update") {
    const object = readObject(request, definition);
    assertUrlMatches(definition, object, path);
    return objectAnswer(
      definition,
      updateObject(context, definition, path, () => object, options),
    );
  }
  assertPatchType(request, definition);
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
}

function handleAction(
  context: HandlerContext,
  definition: ResourceDefinition,
  action: ActionSubresource,
  path: ResourcePath,
  request: KubeRequest,
): KubeAnswer {
  if (request.method !== "POST") throw methodNotAllowed();
  const body = readObject(request, action.kind);
  const { dryRun, warn } = writeOptions(request);
  const answer = action.run(context, {
    namespace: path.namespace,
    name: path.name,
    body,
    dryRun,
    user: request.user,
    warn,
  });
  return objectAnswer(definition, answer, 201);
}
