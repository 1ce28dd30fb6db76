/**
 * Every pod runs as a service account that exists. Source: kubernetes plugin/pkg/admission/serviceaccount.
 * The token volume is not mounted: this API issues no tokens, and a volume without one would only
 * make client libraries fail later and less clearly.
 */
import type { PodSpec } from "../../../proto/kubernetes/gen/types.ts";
import { forbidden } from "../status-errors.ts";
import type { AdmissionStep } from "./admission-step.ts";

export const assignServiceAccount: AdmissionStep = (context, { definition, namespace, object }) => {
  const spec = object.spec as PodSpec;
  const name = spec.serviceAccountName || spec.serviceAccount || "default";
  if (context.store.get({ resource: "serviceaccounts", namespace, name }) === undefined) {
    throw forbidden(
      definition,
      object.metadata.name ?? "",
      `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`,
    );
  }
  spec.serviceAccountName = name;
  spec.serviceAccount = name;
};
