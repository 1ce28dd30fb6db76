/** POST pods/<name>/eviction: a delete, as there are no disruption budgets here. */

import type { ApiContext } from "../context.ts";
import type { ActionRequest } from "../define-resource.ts";
import { deleteObject } from "../generic/delete.ts";
import { parseDeleteOptions } from "../generic/delete-options.ts";
import { statusObject } from "../http/status.ts";
import { isRecord, type KubeObject } from "../object.ts";

export function evictPod(context: ApiContext, request: ActionRequest): KubeObject {
  const body = isRecord(request.body.deleteOptions) ? request.body.deleteOptions : {};
  const options = parseDeleteOptions(body, new URLSearchParams());
  deleteObject(
    context,
    context.registry.stored("pods"),
    { namespace: request.namespace, name: request.name },
    // kubectl drain says it in the body, other clients in the query: either is enough.
    { ...options, dryRun: options.dryRun || request.dryRun },
  );
  return statusObject({ status: "Success", code: 201 });
}
