/** A pod bears an unready node for 5 minutes. Source: kubernetes plugin/pkg/admission/defaulttolerationseconds. */
import type { PodSpec } from "../../../proto/kubernetes/gen/types.ts";
import type { AdmissionStep } from "./admission-step.ts";

const borne = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
// kube-apiserver's --default-not-ready-toleration-seconds and --default-unreachable-….
const tolerationSeconds = 300;

export const addDefaultTolerations: AdmissionStep = (_context, { object }) => {
  const spec = object.spec as PodSpec;
  const tolerations = spec.tolerations ?? [];
  const missing = borne.filter(
    (key) =>
      !tolerations.some(
        (toleration) =>
          (!toleration.key || toleration.key === key) &&
          (!toleration.effect || toleration.effect === "NoExecute"),
      ),
  );
  if (missing.length === 0) return;
  spec.tolerations = [
    ...tolerations,
    ...missing.map((key) => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds })),
  ];
};
