/** The admission steps in the order of kube-apiserver's default plugins. Each step may change or refuse. */
import type { ApiContext } from "../context.ts";
import type { AdmissionRequest, AdmissionStep } from "./admission-step.ts";
import { addDefaultTolerations } from "./default-tolerations.ts";
import { guardNamespace } from "./namespace-lifecycle.ts";
import { resolvePriority } from "./priority.ts";
import { applyRuntimeClass } from "./runtime-class.ts";
import { limitSandboxedPod } from "./sandbox-limits.ts";
import { assignServiceAccount } from "./service-account.ts";
import { taintNewNode } from "./taint-new-nodes.ts";

const steps: readonly AdmissionStep[] = [
  guardNamespace,
  onPodCreate(assignServiceAccount),
  taintNewNode,
  onPodCreate(resolvePriority),
  // Also when it changes: a client that replaces the (atomic) list means to add to the defaults.
  onPod(["CREATE", "UPDATE"], addDefaultTolerations),
  onPodCreate(applyRuntimeClass),
  onPodCreate(limitSandboxedPod),
];

export function admit(context: ApiContext, request: AdmissionRequest): void {
  for (const step of steps) step(context, request);
}

function onPodCreate(step: AdmissionStep): AdmissionStep {
  return onPod(["CREATE"], step);
}

function onPod(
  operations: readonly AdmissionRequest["operation"][],
  step: AdmissionStep,
): AdmissionStep {
  return (context, request) => {
    const { operation, definition } = request;
    if (definition.storage === "pods" && operations.includes(operation)) step(context, request);
  };
}
