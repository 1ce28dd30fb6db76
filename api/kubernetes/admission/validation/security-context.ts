/** Security contexts of pods and containers. Source: kubernetes pkg/apis/core/validation (ValidateSecurityContext). */
import type {
  PodSpec,
  SeccompProfile,
  SecurityContext,
} from "../../../../proto/kubernetes/gen/types.ts";
import {
  duplicate,
  type FieldError,
  invalid,
  invalidEach,
  notSupported,
  required,
} from "./field-error.ts";
import { inRange } from "./strings.ts";
import { descendingPath } from "./volumes.ts";

const maxId = 2 ** 31 - 1;
const profileTypes = ["Localhost", "RuntimeDefault", "Unconfined"];
const sysctlForm = "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";

export function validateContainerSecurity(
  context: SecurityContext | undefined,
  path: string,
): FieldError[] {
  if (!context) return [];
  const errors = validateIds(context, ["runAsUser", "runAsGroup"], path);
  if (context.procMount !== undefined && !["Default", "Unmasked"].includes(context.procMount))
    errors.push(notSupported(`${path}.procMount`, context.procMount, ["Default", "Unmasked"]));
  errors.push(...validateSeccomp(context.seccompProfile, `${path}.seccompProfile`));
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged)
      errors.push(
        invalid(
          path,
          context,
          "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
      );
    if (context.capabilities?.add?.includes("CAP_SYS_ADMIN"))
      errors.push(
        invalid(
          path,
          context,
          "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
        ),
      );
  }
  return errors;
}

export function validatePodSecurity(spec: PodSpec, specPath: string): FieldError[] {
  const context = spec.securityContext;
  if (!context) return [];
  const path = `${specPath}.securityContext`;
  const errors = validateIds(context, ["fsGroup", "runAsUser", "runAsGroup"], path);
  for (const [i, group] of (context.supplementalGroups ?? []).entries())
    errors.push(
      ...invalidEach(`${path}.supplementalGroups[${i}]`, group, inRange(group, 0, maxId)),
    );
  if (spec.shareProcessNamespace && spec.hostPID)
    errors.push(
      invalid(
        `${path}.shareProcessNamespace`,
        true,
        "ShareProcessNamespace and HostPID cannot both be enabled",
      ),
    );
  errors.push(...validateSysctls(spec, `${path}.sysctls`));
  const choices = {
    fsGroupChangePolicy: ["Always", "OnRootMismatch"],
    supplementalGroupsPolicy: ["Merge", "Strict"],
  } as const;
  for (const [field, supported] of Object.entries(choices)) {
    const value = context[field as keyof typeof choices];
    if (value !== undefined && !(supported as readonly string[]).includes(value))
      errors.push(notSupported(`${path}.${field}`, value, supported));
  }
  return [...errors, ...validateSeccomp(context.seccompProfile, `${path}.seccompProfile`)];
}

function validateIds<Field extends string>(
  context: { readonly [key in Field]?: number },
  fields: readonly Field[],
  path: string,
): FieldError[] {
  return fields.flatMap((field) => {
    const id = context[field];
    return id === undefined ? [] : invalidEach(`${path}.${field}`, id, inRange(id, 0, maxId));
  });
}

function validateSeccomp(profile: SeccompProfile | undefined, path: string): FieldError[] {
  if (!profile) return [];
  const errors: FieldError[] = [];
  if (!profile.type)
    errors.push(required(`${path}.type`, "type is required when seccompProfile is set"));
  else if (!profileTypes.includes(profile.type))
    errors.push(notSupported(`${path}.type`, profile.type, profileTypes));
  const local = profile.localhostProfile;
  if (profile.type !== "Localhost") {
    if (local !== undefined)
      errors.push(
        invalid(
          `${path}.localhostProfile`,
          profile,
          "can only be set when seccomp type is Localhost",
        ),
      );
  } else if (local === undefined) {
    errors.push(required(`${path}.localhostProfile`, "must be set when seccomp type is Localhost"));
  } else {
    errors.push(...descendingPath(local, `${path}.localhostProfile`));
  }
  return errors;
}

function validateSysctls(spec: PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [i, { name }] of (spec.securityContext?.sysctls ?? []).entries()) {
    const field = `${path}[${i}].name`;
    if (!name) errors.push(required(field));
    else if (name.length > 253 || !new RegExp(`^${sysctlForm}$`).test(name))
      errors.push(
        invalid(field, name, `must have at most 253 characters and match regex ^${sysctlForm}$`),
      );
    else if (names.has(name)) errors.push(duplicate(field, name));
    names.add(name);
    if (spec.hostNetwork && /^net[./]/.test(name))
      errors.push(invalid(field, name, "may not be specified when 'hostNetwork' is true"));
    if (spec.hostIPC && /^(kernel[./](shm|msg|sem)|fs[./]mqueue[./])/.test(name))
      errors.push(invalid(field, name, "may not be specified when 'hostIPC' is true"));
  }
  return errors;
}
