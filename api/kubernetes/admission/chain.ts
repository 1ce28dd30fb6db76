/** The admission steps in the order of kube-apiserver's default plugins. Each step may change or refuse. */
import type { ApiContext } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { addDefaultTolerations } from "./default-tolerations.ts";
import { guardNamespace } from "./namespace-lifecycle.ts";
import { resolvePriority } from "./priority.ts";
import { applyRuntimeClass } from "./runtime-class.ts";
import { limitSandboxedPod } from "./sandbox-limits.ts";
import { assignServiceAccount } from "./service-account.ts";
import { taintNewNode } from "./taint-new-nodes.ts";

export interface AdmissionRequest {
  readonly operation: "CREATE" | "UPDATE" | "DELETE";
  readonly definition: ResourceDefinition;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  /** May be changed by a step. */
  readonly object: KubeObject;
  readonly old: KubeObject | undefined;
  warn(message: string): void;
}

export type AdmissionStep = (context: ApiContext, request: AdmissionRequest) => void;

const steps: readonly AdmissionStep[] = [
  guardNamespace,
  onPodCreate(assignServiceAccount),
  taintNewNode,
  onPodCreate(resolvePriority),
  onPodCreate(addDefaultTolerations),
  onPodCreate(applyRuntimeClass),
  onPodCreate(limitSandboxedPod),
];

export function admit(context: ApiContext, request: AdmissionRequest): void {
  for (const step of steps) step(context, request);
}

function onPodCreate(step: AdmissionStep): AdmissionStep {
  return (context, request) => {
    if (request.operation === "CREATE" && request.definition.storage === "pods") {
      step(context, request);
    }
  };
}
