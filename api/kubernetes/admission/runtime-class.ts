/**
 * Resolves spec.runtimeClassName: overhead and scheduling are copied into the pod.
 * Source: kubernetes plugin/pkg/admission/runtimeclass, pkg/util/tolerations.
 */
import { isDeepStrictEqual } from "node:util";
import { parseNano } from "../../../common/quantity.ts";
import type { PodSpec, RuntimeClass, Toleration } from "../../../proto/kubernetes/gen/types.ts";
import type { ApiContext } from "../context.ts";
import { forbidden } from "../status-errors.ts";
import type { AdmissionRequest, AdmissionStep } from "./admission-step.ts";
import { nearestName } from "./nearest-name.ts";

const resource = "runtimeclasses.node.k8s.io";

export const applyRuntimeClass: AdmissionStep = (context, request) => {
  const spec = request.object.spec as PodSpec;
  const runtimeClass = runtimeClassOf(context, request);
  const fixed = runtimeClass?.overhead?.podFixed;
  if (spec.overhead !== undefined && Object.keys(spec.overhead).length > 0) {
    if (fixed === undefined) {
      throw refuse(
        request,
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
      );
    }
    if (!sameAmounts(spec.overhead, fixed)) {
      throw refuse(
        request,
        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
      );
    }
  }
  if (fixed !== undefined) spec.overhead = { ...fixed };
  mergeScheduling(request, spec, runtimeClass);
};

/** The class the pod names; 403 when there is none of that name. */
export function runtimeClassOf(
  context: ApiContext,
  request: AdmissionRequest,
): RuntimeClass | undefined {
  const name = (request.object.spec as PodSpec).runtimeClassName;
  if (!name) return undefined;
  const found = context.store.get({ resource, namespace: "", name });
  if (found !== undefined) return found as unknown as RuntimeClass;
  const names = [...context.store.list({ resource }).objects].map((o) => o.metadata.name ?? "");
  const meant = nearestName(name, names);
  throw refuse(
    request,
    `pod rejected: RuntimeClass "${name}" not found${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
  );
}

function mergeScheduling(
  request: AdmissionRequest,
  spec: PodSpec,
  runtimeClass: RuntimeClass | undefined,
): void {
  const scheduling = runtimeClass?.scheduling;
  if (scheduling === undefined) return;
  const selector = { ...spec.nodeSelector };
  for (const [key, value] of Object.entries(scheduling.nodeSelector ?? {})) {
    const wanted = selector[key];
    if (wanted !== undefined && wanted !== value) {
      throw refuse(
        request,
        `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${wanted}`,
      );
    }
    selector[key] = value;
  }
  if (Object.keys(selector).length > 0) spec.nodeSelector = selector;
  const added = (scheduling.tolerations ?? []).filter(
    (toleration) => !(spec.tolerations ?? []).some((known) => covers(known, toleration)),
  );
  if (added.length > 0) spec.tolerations = [...(spec.tolerations ?? []), ...added];
}

/** tolerations.isSuperset, reduced to what makes an addition pointless. */
function covers(known: Toleration, other: Toleration): boolean {
  if (isDeepStrictEqual(known, other)) return true;
  return (
    known.key === other.key &&
    (known.effect ?? "") === (other.effect ?? "") &&
    (known.operator === "Exists" ||
      ((known.operator ?? "Equal") === (other.operator ?? "Equal") &&
        (known.value ?? "") === (other.value ?? ""))) &&
    (known.tolerationSeconds === undefined ||
      (other.tolerationSeconds !== undefined && known.tolerationSeconds >= other.tolerationSeconds))
  );
}

function sameAmounts(
  a: Readonly<Record<string, string>>,
  b: Readonly<Record<string, string>>,
): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => {
      const other = b[name];
      return other !== undefined && parseNano(a[name] ?? "") === parseNano(other);
    })
  );
}

function refuse(request: AdmissionRequest, why: string) {
  return forbidden(request.definition, request.object.metadata.name ?? "", why);
}
