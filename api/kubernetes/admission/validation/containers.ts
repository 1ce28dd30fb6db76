/** Containers of a pod. Source: kubernetes pkg/apis/core/validation (validateContainers and its kin). */
import { isDeepStrictEqual } from "node:util";
import type {
  Container,
  EphemeralContainer,
  PodSpec,
  Volume,
  VolumeMount,
} from "../../../../proto/kubernetes/gen/types.ts";
import { validateEnvironment } from "./environment.ts";
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  invalidEach,
  notFound,
  notSupported,
  required,
} from "./field-error.ts";
import { duplicatesIn } from "./metadata.ts";
import { forbidProbesAndLifecycle, validateProbesAndLifecycle } from "./probes.ts";
import { validateResources } from "./resources.ts";
import { validateContainerSecurity } from "./security-context.ts";
import { dnsLabel, portName, portNumber } from "./strings.ts";
import { descendingPath } from "./volumes.ts";

type Volumes = ReadonlyMap<string, Volume>;

const protocols = ["SCTP", "TCP", "UDP"];
const pullPolicies = ["Always", "IfNotPresent", "Never"];
const messagePolicies = ["File", "FallbackToLogsOnError"];
const propagations = ["Bidirectional", "HostToContainer", "None"];

/** What an ephemeral container may have; the rest is for containers a pod is made of. */
const ephemeralFields = new Set([
  "name",
  "image",
  "command",
  "args",
  "workingDir",
  "env",
  "envFrom",
  "volumeMounts",
  "volumeDevices",
  "imagePullPolicy",
  "securityContext",
  "stdin",
  "stdinOnce",
  "tty",
  "terminationMessagePath",
  "terminationMessagePolicy",
  "targetContainerName",
]);

export function validateContainers(spec: PodSpec, volumes: Volumes, path: string): FieldError[] {
  const at = `${path}.containers`;
  const containers = spec.containers ?? [];
  if (containers.length === 0) return [required(at)];
  const graceSeconds = spec.terminationGracePeriodSeconds ?? 30;
  const errors = containers.flatMap((container, i) => [
    ...validateCommon(container, volumes, `${at}[${i}]`),
    ...validateProbesAndLifecycle(container, graceSeconds, `${at}[${i}]`),
    ...(container.restartPolicy === undefined
      ? []
      : [forbidden(`${at}[${i}].restartPolicy`, "may not be set for non-init containers")]),
  ]);
  return [...errors, ...duplicatesIn(containers, at), ...hostPortConflicts(containers, at)];
}

export function validateInitContainers(
  spec: PodSpec,
  volumes: Volumes,
  path: string,
): FieldError[] {
  const at = `${path}.initContainers`;
  const containers = spec.initContainers ?? [];
  const graceSeconds = spec.terminationGracePeriodSeconds ?? 30;
  const taken = new Set((spec.containers ?? []).map(({ name }) => name));
  const errors = containers.flatMap((container, i) => {
    const each = validateCommon(container, volumes, `${at}[${i}]`);
    const policy = container.restartPolicy;
    if (policy !== undefined && policy !== "Always")
      each.push(notSupported(`${at}[${i}].restartPolicy`, policy, ["Always"]));
    each.push(
      ...(policy === "Always"
        ? validateProbesAndLifecycle(container, graceSeconds, `${at}[${i}]`)
        : forbidProbesAndLifecycle(container, `${at}[${i}]`)),
    );
    return each;
  });
  return [...errors, ...duplicatesIn(containers, at, taken)];
}

export function validateEphemeralContainers(
  spec: PodSpec,
  volumes: Volumes,
  path: string,
): FieldError[] {
  const at = `${path}.ephemeralContainers`;
  const others = new Set(
    [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ name }) => name),
  );
  const containers: readonly EphemeralContainer[] = spec.ephemeralContainers ?? [];
  const errors = containers.flatMap((container, i) => {
    const each = validateCommon(container, volumes, `${at}[${i}]`);
    const target = container.targetContainerName;
    if (target && !others.has(target))
      each.push(notFound(`${at}[${i}].targetContainerName`, target));
    // Go always has a resources struct; an empty one counts as unset.
    for (const [field, value] of Object.entries(container))
      if (!ephemeralFields.has(field) && !isDeepStrictEqual(value, {}))
        each.push(forbidden(`${at}[${i}].${field}`, "cannot be set for an Ephemeral Container"));
    return each;
  });
  return [...errors, ...duplicatesIn(containers, at, new Set(others))];
}

function validateCommon(container: Container, volumes: Volumes, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { name, image, imagePullPolicy = "", terminationMessagePolicy = "" } = container;
  if (!name) errors.push(required(`${path}.name`));
  else errors.push(...invalidEach(`${path}.name`, name, dnsLabel(name)));
  if (!image) errors.push(required(`${path}.image`));
  else if (image.trim() !== image)
    errors.push(invalid(`${path}.image`, image, "must not have leading or trailing whitespace"));
  errors.push(
    ...oneOf(terminationMessagePolicy, messagePolicies, `${path}.terminationMessagePolicy`),
    ...validatePorts(container, `${path}.ports`),
    ...validateEnvironment(container, path),
    ...validateMounts(container, volumes, `${path}.volumeMounts`),
    ...oneOf(imagePullPolicy, pullPolicies, `${path}.imagePullPolicy`),
    ...validateResources(container.resources, `${path}.resources`),
    ...validateContainerSecurity(container.securityContext, `${path}.securityContext`),
  );
  return errors;
}

/** Required, and one of the supported values. */
export function oneOf(value: string, supported: readonly string[], field: string): FieldError[] {
  if (value === "") return [required(field)];
  return supported.includes(value) ? [] : [notSupported(field, value, supported)];
}

function validatePorts(container: Container, path: string): FieldError[] {
  const names = new Set<string>();
  return (container.ports ?? []).flatMap((port, i) => {
    const at = `${path}[${i}]`;
    const errors: FieldError[] = [];
    if (port.name) {
      const messages = portName(port.name);
      errors.push(...invalidEach(`${at}.name`, port.name, messages));
      if (messages.length === 0 && names.has(port.name))
        errors.push(duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    if (!port.containerPort) errors.push(required(`${at}.containerPort`));
    else
      errors.push(
        ...invalidEach(`${at}.containerPort`, port.containerPort, portNumber(port.containerPort)),
      );
    if (port.hostPort)
      errors.push(...invalidEach(`${at}.hostPort`, port.hostPort, portNumber(port.hostPort)));
    errors.push(...oneOf(port.protocol ?? "", protocols, `${at}.protocol`));
    return errors;
  });
}

function hostPortConflicts(containers: readonly Container[], path: string): FieldError[] {
  const taken = new Set<string>();
  const errors: FieldError[] = [];
  for (const [i, container] of containers.entries())
    for (const [j, port] of (container.ports ?? []).entries()) {
      if (!port.hostPort) continue;
      const key = `${port.protocol}/${port.hostIP ?? ""}/${port.hostPort}`;
      if (taken.has(key)) errors.push(duplicate(`${path}[${i}].ports[${j}].hostPort`, key));
      taken.add(key);
    }
  return errors;
}

function validateMounts(container: Container, volumes: Volumes, path: string): FieldError[] {
  const mountPaths = new Set<string>();
  return (container.volumeMounts ?? []).flatMap((mount, i) => {
    const at = `${path}[${i}]`;
    const errors: FieldError[] = [];
    if (!mount.name) errors.push(required(`${at}.name`));
    if (!volumes.has(mount.name)) errors.push(notFound(`${at}.name`, mount.name));
    if (!mount.mountPath) errors.push(required(`${at}.mountPath`));
    if (mountPaths.has(mount.mountPath))
      errors.push(invalid(`${at}.mountPath`, mount.mountPath, "must be unique"));
    mountPaths.add(mount.mountPath);
    return [...errors, ...validateMountOptions(mount, container, at, path)];
  });
}

/** The real server leaves the index out of the paths of these. */
function validateMountOptions(
  mount: VolumeMount,
  container: Container,
  at: string,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (mount.subPath) errors.push(...descendingPath(mount.subPath, `${path}.subPath`));
  if (mount.subPathExpr) {
    if (mount.subPath)
      errors.push(
        invalid(
          `${at}.subPathExpr`,
          mount.subPathExpr,
          "subPathExpr and subPath are mutually exclusive",
        ),
      );
    errors.push(...descendingPath(mount.subPathExpr, `${path}.subPathExpr`));
  }
  const propagation = mount.mountPropagation;
  if (propagation !== undefined) {
    const field = `${path}.mountPropagation`;
    if (!propagations.includes(propagation))
      errors.push(notSupported(field, propagation, propagations));
    if (propagation === "Bidirectional" && !container.securityContext?.privileged)
      errors.push(
        forbidden(
          field,
          "Bidirectional mount propagation is available only to privileged containers",
        ),
      );
  }
  return errors;
}
