/**
 * Validation of objects before they are stored: one entry for every kind. Objects must have been
 * type-checked, normalised and defaulted; the errors are the real API server's.
 */
import type { ObjectMeta, Pod } from "../../../../proto/kubernetes/gen/types.ts";
import type { GroupVersionKind } from "../../schema/definitions.ts";
import type { FieldError } from "./field-error.ts";
import { validateMetadata, validateMetadataUpdate } from "./metadata.ts";
import {
  validateConfigMap,
  validateEvent,
  validateLease,
  validateNamespace,
  validateNode,
  validatePriorityClass,
  validateRuntimeClass,
  validateSecret,
} from "./objects.ts";
import { validatePodCreate, validatePodSpec } from "./pod-spec.ts";
import { validatePodUpdate } from "./pod-update.ts";
import { dns1035Label, dnsLabel, dnsSubdomain, type StringCheck } from "./strings.ts";

export { type FieldError, formatFieldErrors } from "./field-error.ts";

/** Names are DNS subdomains unless the kind says otherwise. */
const nameChecks: Readonly<Record<string, StringCheck>> = {
  "/Namespace": dnsLabel,
  "/Service": dns1035Label,
};

type Validator = (object: never, old?: never) => FieldError[];

const validators: Readonly<Record<string, Validator>> = {
  "/ConfigMap": validateConfigMap,
  "/Event": validateEvent,
  "/Namespace": validateNamespace,
  "/Node": validateNode,
  "/Pod": validatePod,
  "/Secret": validateSecret,
  "coordination.k8s.io/Lease": validateLease,
  "node.k8s.io/RuntimeClass": validateRuntimeClass,
  "scheduling.k8s.io/PriorityClass": validatePriorityClass,
};

/**
 * Everything wrong with a new object, or with `object` as an update of `old`; empty when it may be
 * stored. Kinds without rules of their own have their metadata checked.
 */
export function validateObject(gvk: GroupVersionKind, object: object, old?: object): FieldError[] {
  const key = `${gvk.group}/${gvk.kind}`;
  const meta = metadataOf(object);
  const own = validators[key] as ((object: object, old?: object) => FieldError[]) | undefined;
  return [
    ...(old ? validateMetadataUpdate(meta, metadataOf(old)) : []),
    ...validateMetadata(meta, nameChecks[key] ?? dnsSubdomain),
    ...(own?.(object, old) ?? []),
  ];
}

function validatePod(pod: Pod, old?: Pod): FieldError[] {
  return [
    ...validatePodSpec(pod.spec ?? { containers: [] }),
    ...(old ? validatePodUpdate(pod, old) : validatePodCreate(pod)),
  ];
}

function metadataOf(object: object): ObjectMeta {
  return (object as { metadata?: ObjectMeta }).metadata ?? {};
}
