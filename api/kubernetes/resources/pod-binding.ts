/** POST pods/<name>/binding. Source: kubernetes pkg/registry/core/pod/storage/storage.go BindingREST. */
import { rfc3339 } from "../../../common/clock.ts";
import type { Binding, Pod } from "../../../proto/kubernetes/gen/types.ts";
import { apiError } from "../../errors.ts";
import { notSupported, required } from "../admission/validation/field-error.ts";
import type { ApiContext } from "../context.ts";
import type { ActionRequest } from "../define-resource.ts";
import { updateObject } from "../generic/update.ts";
import { statusObject } from "../http/status.ts";
import type { KubeObject } from "../object.ts";
import { conflict, invalid } from "../status-errors.ts";

export function bindPod(context: ApiContext, request: ActionRequest): KubeObject {
  const binding = request.body as unknown as Binding;
  const target = binding.target;
  if (!target?.name) {
    throw invalid({ group: "", kind: "Binding" }, request.name, [required("target.name")]);
  }
  if (target.kind !== undefined && target.kind !== "Node" && target.kind !== "Minion") {
    throw invalid({ group: "", kind: "Binding" }, request.name, [
      notSupported("target.kind", target.kind, ["Node", "<empty>"]),
    ]);
  }
  const definition = context.registry.stored("pods");
  updateObject(
    context,
    definition,
    { namespace: request.namespace, name: request.name },
    (current) => {
      const pod = current as unknown as Pod;
      if (binding.metadata?.uid && binding.metadata.uid !== current.metadata.uid) {
        throw conflict(
          definition,
          request.name,
          `Precondition failed: UID in precondition: ${binding.metadata.uid}, UID in object meta: ${current.metadata.uid}`,
        );
      }
      if (pod.spec === undefined) throw apiError("INTERNAL", `pod ${request.name} has no spec`);
      if (current.metadata.deletionTimestamp !== undefined) {
        throw conflict(
          definition,
          request.name,
          `pod ${request.name} is being deleted, cannot be assigned to a host`,
        );
      }
      if (pod.spec.nodeName) {
        throw conflict(
          definition,
          request.name,
          `pod ${request.name} is already assigned to node "${pod.spec.nodeName}"`,
        );
      }
      pod.spec.nodeName = target.name ?? "";
      pod.status = {
        ...pod.status,
        conditions: [
          ...(pod.status?.conditions ?? []).filter((c) => c.type !== "PodScheduled"),
          {
            type: "PodScheduled",
            status: "True",
            lastTransitionTime: rfc3339(context.clock.nowMs()),
          },
        ],
      };
      return current;
    },
    { road: "system", dryRun: request.dryRun, warn: request.warn },
  );
  return statusObject({ status: "Success", code: 201 });
}
