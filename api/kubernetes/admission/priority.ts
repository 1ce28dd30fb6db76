/** The pod's priority as a number. Source: kubernetes plugin/pkg/admission/priority. */
import type { PodSpec, PriorityClass } from "../../../proto/kubernetes/gen/types.ts";
import type { ApiContext } from "../context.ts";
import { forbidden } from "../status-errors.ts";
import type { AdmissionStep } from "./admission-step.ts";

export const resolvePriority: AdmissionStep = (context, { definition, object }) => {
  const spec = object.spec as PodSpec;
  const refuse = (why: string) => forbidden(definition, object.metadata.name ?? "", why);
  const found = spec.priorityClassName
    ? classNamed(context, spec.priorityClassName)
    : globalDefault(context);
  if (found === undefined && spec.priorityClassName) {
    throw refuse(`no PriorityClass with name ${spec.priorityClassName} was found`);
  }
  const value = found?.value ?? 0;
  if (spec.priority !== undefined && spec.priority !== value) {
    throw refuse(
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
    );
  }
  if (found !== undefined) spec.priorityClassName = found.metadata?.name ?? "";
  spec.priority = value;
  spec.preemptionPolicy = found?.preemptionPolicy ?? "PreemptLowerPriority";
};

function classNamed(context: ApiContext, name: string): PriorityClass | undefined {
  const key = { resource: "priorityclasses.scheduling.k8s.io", namespace: "", name };
  return context.store.get(key) as unknown as PriorityClass | undefined;
}

function globalDefault(context: ApiContext): PriorityClass | undefined {
  const { objects } = context.store.list({ resource: "priorityclasses.scheduling.k8s.io" });
  return [...(objects as Iterable<unknown>)]
    .map((object) => object as PriorityClass)
    .filter((candidate) => candidate.globalDefault === true)
    .sort((a, b) => a.value - b.value)[0];
}
