/** A pod's spec as a whole. Source: kubernetes pkg/apis/core/validation (ValidatePodSpec, ValidatePodCreate). */
import { isIP } from "node:net";
import type { Pod, PodSpec, Toleration } from "../../../../proto/kubernetes/gen/types.ts";
import {
  oneOf,
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
} from "./containers.ts";
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  invalidEach,
  notSupported,
  required,
} from "./field-error.ts";
import { validateLabels } from "./metadata.ts";
import { validateResourceList } from "./resources.ts";
import { validatePodSecurity } from "./security-context.ts";
import { dnsLabel, dnsSubdomain, inRange, labelValue, qualifiedName } from "./strings.ts";
import { validateVolumes } from "./volumes.ts";

const maxInt32 = 2 ** 31 - 1;
const restartPolicies = ["Always", "OnFailure", "Never"];
const dnsPolicies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const taintEffects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/** resolv.conf's limits in libc. */
const maxNameservers = 3;
const maxSearches = 32;

export function validatePodSpec(spec: PodSpec, path = "spec"): FieldError[] {
  const volumes = validateVolumes(spec.volumes ?? [], `${path}.volumes`);
  return [
    ...(spec.terminationGracePeriodSeconds === undefined
      ? [required(`${path}.terminationGracePeriodSeconds`)]
      : []),
    ...volumes.errors,
    ...validateContainers(spec, volumes.sound, path),
    ...validateInitContainers(spec, volumes.sound, path),
    ...validateEphemeralContainers(spec, volumes.sound, path),
    ...validateHostPorts(spec, path),
    ...oneOf(spec.restartPolicy ?? "", restartPolicies, `${path}.restartPolicy`),
    ...oneOf(spec.dnsPolicy ?? "", dnsPolicies, `${path}.dnsPolicy`),
    ...validateLabels(spec.nodeSelector, `${path}.nodeSelector`),
    ...validatePodSecurity(spec, path),
    ...validateDns(spec, `${path}.dnsConfig`),
    ...validateGates(spec, path),
    ...validateNames(spec, path),
    ...validateTolerations(spec.tolerations, `${path}.tolerations`),
    ...validateHostAliases(spec, `${path}.hostAliases`),
    ...validateResourceList(spec.overhead, `${path}.overhead`),
    ...validateOs(spec, `${path}.os`),
  ];
}

/** What a new pod may not have. */
export function validatePodCreate(pod: Pod): FieldError[] {
  const spec = pod.spec;
  const errors: FieldError[] = [];
  if ((spec?.ephemeralContainers ?? []).length > 0)
    errors.push(forbidden("spec.ephemeralContainers", "cannot be set on create"));
  if (spec?.nodeName && (spec.schedulingGates ?? []).length > 0)
    errors.push(
      forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"),
    );
  return errors;
}

function validateNames(spec: PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const subdomains = [
    "serviceAccountName",
    "nodeName",
    "priorityClassName",
    "runtimeClassName",
  ] as const;
  for (const field of subdomains) {
    const value = spec[field];
    // An empty runtime class is set and wrong; the other fields count as unset when empty.
    if (value || (field === "runtimeClassName" && value !== undefined))
      errors.push(...invalidEach(`${path}.${field}`, value, dnsSubdomain(value)));
  }
  for (const field of ["hostname", "subdomain"] as const) {
    const value = spec[field];
    if (value) errors.push(...invalidEach(`${path}.${field}`, value, dnsLabel(value)));
  }
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined)
    errors.push(
      ...invalidEach(`${path}.activeDeadlineSeconds`, deadline, inRange(deadline, 1, maxInt32)),
    );
  if (spec.preemptionPolicy !== undefined)
    errors.push(
      ...oneOf(
        spec.preemptionPolicy,
        ["PreemptLowerPriority", "Never"],
        `${path}.preemptionPolicy`,
      ),
    );
  return errors;
}

function validateHostPorts(spec: PodSpec, path: string): FieldError[] {
  if (!spec.hostNetwork) return [];
  return (spec.containers ?? []).flatMap((container, i) =>
    (container.ports ?? []).flatMap((port, j) =>
      (port.hostPort ?? 0) === port.containerPort
        ? []
        : [
            invalid(
              `${path}.containers[${i}].ports[${j}].hostPort`,
              port.hostPort ?? 0,
              "must match `containerPort` when `hostNetwork` is true",
            ),
          ],
    ),
  );
}

function validateDns(spec: PodSpec, path: string): FieldError[] {
  const config = spec.dnsConfig;
  const { nameservers = [], searches = [], options = [] } = config ?? {};
  if (spec.dnsPolicy === "None") {
    if (!config) return [required(path, "must provide `dnsConfig` when `dnsPolicy` is None")];
    if (nameservers.length === 0)
      return [
        required(
          `${path}.nameservers`,
          "must provide at least one DNS nameserver when `dnsPolicy` is None",
        ),
      ];
  }
  const errors: FieldError[] = [];
  if (nameservers.length > maxNameservers)
    errors.push(
      invalid(`${path}.nameservers`, nameservers, "must not have more than 3 nameservers"),
    );
  for (const [i, address] of nameservers.entries())
    errors.push(...validateIp(address, `${path}.nameservers[${i}]`));
  if (searches.length > maxSearches)
    errors.push(invalid(`${path}.searches`, searches, "must not have more than 32 search paths"));
  for (const [i, search] of searches.entries()) {
    const domain = search.replace(/\.$/, "");
    errors.push(...invalidEach(`${path}.searches[${i}]`, domain, dnsSubdomain(domain)));
  }
  for (const [i, option] of options.entries())
    if (!option.name) errors.push(required(`${path}.options[${i}]`, "must not be empty"));
  return errors;
}

function validateGates(spec: PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, { conditionType }] of (spec.readinessGates ?? []).entries())
    errors.push(
      ...invalidEach(
        `${path}.readinessGates[${i}].conditionType`,
        conditionType,
        qualifiedName(conditionType),
      ),
    );
  const gates = new Set<string>();
  for (const [i, { name }] of (spec.schedulingGates ?? []).entries()) {
    const field = `${path}.schedulingGates[${i}]`;
    errors.push(...invalidEach(field, name, qualifiedName(name)));
    if (gates.has(name)) errors.push(duplicate(field, name));
    gates.add(name);
  }
  return errors;
}

/** Also for the tolerations of runtime classes. */
export function validateTolerations(
  tolerations: readonly Toleration[] | undefined,
  path: string,
): FieldError[] {
  return (tolerations ?? []).flatMap((toleration, i) => {
    const at = `${path}[${i}]`;
    const { key = "", operator = "", value = "", effect = "" } = toleration;
    const errors: FieldError[] = [];
    if (key) errors.push(...invalidEach(`${at}.key`, key, qualifiedName(key)));
    else if (operator !== "Exists")
      errors.push(
        invalid(
          `${at}.operator`,
          operator,
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    if (toleration.tolerationSeconds !== undefined && effect !== "NoExecute")
      errors.push(
        invalid(
          `${at}.effect`,
          effect,
          "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
      );
    if (operator === "" || operator === "Equal") {
      const messages = labelValue(value);
      if (messages.length > 0) errors.push(invalid(`${at}.operator`, value, messages.join(";")));
    } else if (operator !== "Exists") {
      errors.push(notSupported(`${at}.operator`, operator, ["Equal", "Exists"]));
    } else if (value) {
      errors.push(
        invalid(`${at}.operator`, toleration, "value must be empty when `operator` is 'Exists'"),
      );
    }
    if (effect && !taintEffects.includes(effect))
      errors.push(notSupported(`${at}.effect`, effect, taintEffects));
    return errors;
  });
}

function validateHostAliases(spec: PodSpec, path: string): FieldError[] {
  return (spec.hostAliases ?? []).flatMap((alias, i) => [
    ...validateIp(alias.ip, `${path}[${i}].ip`),
    ...(alias.hostnames ?? []).flatMap((name, j) =>
      invalidEach(`${path}[${i}].hostnames[${j}]`, name, dnsSubdomain(name)),
    ),
  ]);
}

function validateOs(spec: PodSpec, path: string): FieldError[] {
  if (!spec.os) return [];
  if (!spec.os.name) return [required(`${path}.name`, "cannot be empty")];
  const supported = ["linux", "windows"];
  return supported.includes(spec.os.name) ? [] : [notSupported(path, spec.os.name, supported)];
}

function validateIp(address: string, field: string): FieldError[] {
  return isIP(address) === 0
    ? [invalid(field, address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    : [];
}
