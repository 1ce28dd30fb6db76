/**
 * A new node takes no pods until it was seen Ready; the node lifecycle controller lifts the taint.
 * Source: kubernetes plugin/pkg/admission/nodetaint.
 */
import type { NodeSpec, Taint } from "../../../proto/kubernetes/gen/types.ts";
import type { AdmissionStep } from "./admission-step.ts";

export const notReadyTaint: Taint = { key: "node.kubernetes.io/not-ready", effect: "NoSchedule" };

export const taintNewNode: AdmissionStep = (_context, { operation, definition, object }) => {
  if (operation !== "CREATE" || definition.storage !== "nodes") return;
  const spec: NodeSpec = object.spec ?? {};
  const taints = spec.taints ?? [];
  if (!taints.some((taint) => taint.key === notReadyTaint.key && taint.effect === "NoSchedule")) {
    spec.taints = [...taints, { ...notReadyTaint }];
  }
  object.spec = spec;
};
