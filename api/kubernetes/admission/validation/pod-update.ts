/** What an update of a pod may change. Source: kubernetes pkg/apis/core/validation (ValidatePodUpdate). */
import { isDeepStrictEqual } from "node:util";
import type {
  Container,
  Pod,
  PodSpec,
  Toleration,
} from "../../../../proto/kubernetes/gen/types.ts";
import { type FieldError, forbidden, invalid } from "./field-error.ts";

const updatableFields = [
  "`spec.containers[*].image`",
  "`spec.initContainers[*].image`",
  "`spec.activeDeadlineSeconds`",
  "`spec.tolerations` (only additions to existing tolerations)",
  "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
];

/** Both specs must be normalised and have their defaults. Ephemeral containers have a road of their own. */
export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const spec = pod.spec ?? { containers: [] };
  const oldSpec = old.spec ?? { containers: [] };
  for (const list of ["containers", "initContainers"] as const)
    if ((spec[list] ?? []).length !== (oldSpec[list] ?? []).length)
      return [forbidden(`spec.${list}`, "pod updates may not add or remove containers")];
  const errors = validateDeadline(spec, oldSpec);
  if (!(oldSpec.tolerations ?? []).every((kept) => isKept(kept, spec.tolerations ?? [])))
    errors.push(
      forbidden(
        "spec.tolerations",
        "existing toleration can not be modified except its tolerationSeconds",
      ),
    );
  const oldGates = new Set((oldSpec.schedulingGates ?? []).map(({ name }) => name));
  for (const [i, { name }] of (spec.schedulingGates ?? []).entries())
    if (!oldGates.has(name))
      errors.push(
        forbidden(
          `spec.schedulingGates[${i}].name`,
          `only deletion is allowed, but found new scheduling gate '${name}'`,
        ),
      );
  const munged = withUpdatableFieldsOf(oldSpec, spec);
  if (!isDeepStrictEqual(munged, oldSpec))
    errors.push(
      forbidden(
        "spec",
        `pod updates may not change fields other than ${updatableFields.join(",")}\n${difference(oldSpec, munged)}`,
      ),
    );
  return errors;
}

function validateDeadline(spec: PodSpec, old: PodSpec): FieldError[] {
  const field = "spec.activeDeadlineSeconds";
  const seconds = spec.activeDeadlineSeconds;
  const before = old.activeDeadlineSeconds;
  if (seconds === undefined)
    return before === undefined
      ? []
      : [invalid(field, null, "must not update from a positive integer to nil value")];
  return before !== undefined && before < seconds
    ? [invalid(field, seconds, "must be less than or equal to previous value")]
    : [];
}

function isKept(old: Toleration, tolerations: readonly Toleration[]): boolean {
  return tolerations.some(({ tolerationSeconds: _, ...rest }) => {
    const { tolerationSeconds: __, ...before } = old;
    return isDeepStrictEqual(rest, before);
  });
}

/** `spec` with everything that may change set back: what then differs may not. */
function withUpdatableFieldsOf(old: PodSpec, spec: PodSpec): PodSpec {
  const munged: PodSpec = { ...spec };
  const images = (list: Container[], before: Container[] | undefined) =>
    list.map((container, i) => copyField(container, before?.[i] ?? container, "image"));
  munged.containers = images(spec.containers ?? [], old.containers);
  if (spec.initContainers) munged.initContainers = images(spec.initContainers, old.initContainers);
  const free = [
    "activeDeadlineSeconds",
    "schedulingGates",
    "tolerations",
    "ephemeralContainers",
  ] as const;
  let result: PodSpec = munged;
  for (const field of free) result = copyField(result, old, field);
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && spec.terminationGracePeriodSeconds === 1)
    result = copyField(result, old, "terminationGracePeriodSeconds");
  return result;
}

function copyField<T extends object>(to: T, from: T, field: keyof T): T {
  const copy = { ...to };
  if (from[field] === undefined) delete copy[field];
  else copy[field] = from[field];
  return copy;
}

/** The fields that differ, in the manner of the real message (which prints Go's cmp.Diff). */
function difference(old: PodSpec, next: PodSpec): string {
  const lines = ["  core.PodSpec{"];
  for (const field of new Set([...Object.keys(old), ...Object.keys(next)]) as Set<keyof PodSpec>) {
    if (isDeepStrictEqual(old[field], next[field])) continue;
    const name = field.charAt(0).toUpperCase() + field.slice(1);
    if (old[field] !== undefined) lines.push(`- \t${name}: ${JSON.stringify(old[field])},`);
    if (next[field] !== undefined) lines.push(`+ \t${name}: ${JSON.stringify(next[field])},`);
  }
  return [...lines, "  }", ""].join("\n");
}
