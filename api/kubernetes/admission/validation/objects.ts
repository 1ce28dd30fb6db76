/**
 * Validation of the kinds other than pods. Source: kubernetes pkg/apis/core/validation,
 * pkg/apis/node/validation, pkg/apis/coordination/validation, pkg/apis/core/validation/events.go.
 */
import { isDeepStrictEqual } from "node:util";
import type {
  ConfigMap,
  CoreV1Event,
  Lease,
  Namespace,
  Node,
  PriorityClass,
  RuntimeClass,
  Secret,
} from "../../../../proto/kubernetes/gen/types.ts";
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  invalidEach,
  notSupported,
  required,
  tooLong,
} from "./field-error.ts";
import { validateLabels } from "./metadata.ts";
import { validateTolerations } from "./pod-spec.ts";
import { validateQuantity, validateResourceList } from "./resources.ts";
import { configMapKey, dnsLabel, labelValue, qualifiedName } from "./strings.ts";

/** core.MaxSecretSize: of all values of a config map or secret together. */
const maxDataBytes = 1024 * 1024;
const immutable = "field is immutable";
const immutableData = "field is immutable when `immutable` is set";
const taintEffects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

export function validateConfigMap(config: ConfigMap, old?: ConfigMap): FieldError[] {
  const errors = old ? validateImmutableData(config, old, ["data", "binaryData"]) : [];
  let bytes = 0;
  for (const [key, value] of Object.entries(config.data ?? {})) {
    errors.push(...invalidEach(`data[${key}]`, key, configMapKey(key)));
    if (Object.hasOwn(config.binaryData ?? {}, key))
      errors.push(invalid(`data[${key}]`, key, "duplicate of key present in binaryData"));
    bytes += Buffer.byteLength(value);
  }
  for (const [key, value] of Object.entries(config.binaryData ?? {})) {
    errors.push(...invalidEach(`binaryData[${key}]`, key, configMapKey(key)));
    bytes += Buffer.byteLength(value, "base64");
  }
  // The real server gives no field here: the error is the whole object's.
  if (bytes > maxDataBytes) errors.push(tooLong("", maxDataBytes));
  return errors;
}

export function validateSecret(secret: Secret, old?: Secret): FieldError[] {
  const errors: FieldError[] = [];
  if (old) {
    if (secret.type !== old.type) errors.push(invalid("type", secret.type, immutable));
    errors.push(...validateImmutableData(secret, old, ["data"]));
  }
  let bytes = 0;
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    errors.push(...invalidEach(`data[${key}]`, key, configMapKey(key)));
    bytes += Buffer.byteLength(value, "base64");
  }
  if (bytes > maxDataBytes) errors.push(tooLong("data", maxDataBytes));
  return [...errors, ...validateSecretType(secret)];
}

function validateSecretType(secret: Secret): FieldError[] {
  const has = (key: string) => Object.hasOwn(secret.data ?? {}, key);
  const missing = (...keys: readonly string[]) =>
    keys.filter((key) => !has(key)).map((key) => required(`data[${key}]`));
  switch (secret.type) {
    case "kubernetes.io/service-account-token": {
      const key = "kubernetes.io/service-account.name";
      return secret.metadata?.annotations?.[key] ? [] : [required(`metadata.annotations[${key}]`)];
    }
    case "kubernetes.io/dockercfg":
      return [...missing(".dockercfg"), ...notJson(secret, ".dockercfg")];
    case "kubernetes.io/dockerconfigjson":
      return [...missing(".dockerconfigjson"), ...notJson(secret, ".dockerconfigjson")];
    case "kubernetes.io/basic-auth":
      return has("username") || has("password") ? [] : missing("username", "password");
    case "kubernetes.io/ssh-auth":
      return missing("ssh-privatekey");
    case "kubernetes.io/tls":
      return missing("tls.crt", "tls.key");
  }
  return [];
}

function notJson(secret: Secret, key: string): FieldError[] {
  const value = secret.data?.[key];
  if (value === undefined) return [];
  try {
    JSON.parse(Buffer.from(value, "base64").toString("utf8"));
    return [];
  } catch (cause) {
    return [
      invalid(`data[${key}]`, "<secret contents redacted>", String((cause as Error).message)),
    ];
  }
}

function validateImmutableData<T extends { immutable?: boolean }>(
  next: T,
  old: T,
  fields: readonly (keyof T & string)[],
): FieldError[] {
  if (!old.immutable) return [];
  const errors = fields
    .filter((field) => !isDeepStrictEqual(next[field] ?? {}, old[field] ?? {}))
    .map((field) => forbidden(field, immutableData));
  return next.immutable ? errors : [forbidden("immutable", immutableData), ...errors];
}

export function validateRuntimeClass(runtime: RuntimeClass, old?: RuntimeClass): FieldError[] {
  if (old)
    return runtime.handler === old.handler ? [] : [invalid("handler", runtime.handler, immutable)];
  const handler = runtime.handler ?? "";
  const scheduling = runtime.scheduling;
  const errors = [
    ...invalidEach("handler", handler, dnsLabel(handler)),
    ...validateResourceList(runtime.overhead?.podFixed, "overhead.podFixed"),
    ...validateLabels(scheduling?.nodeSelector, "scheduling.nodeSelector"),
    ...validateTolerations(scheduling?.tolerations, "scheduling.tolerations"),
  ];
  const seen: unknown[] = [];
  for (const [i, toleration] of (scheduling?.tolerations ?? []).entries()) {
    if (seen.some((other) => isDeepStrictEqual(other, toleration)))
      errors.push(duplicate(`scheduling.tolerations[${i}]`, toleration));
    seen.push(toleration);
  }
  return errors;
}

export function validateLease(lease: Lease): FieldError[] {
  const { leaseDurationSeconds: seconds, leaseTransitions: transitions } = lease.spec ?? {};
  const errors: FieldError[] = [];
  if (seconds !== undefined && seconds <= 0)
    errors.push(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
  if (transitions !== undefined && transitions < 0)
    errors.push(
      invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"),
    );
  return errors;
}

export function validateNamespace(namespace: Namespace): FieldError[] {
  return (namespace.spec?.finalizers ?? []).flatMap((finalizer) => [
    ...invalidEach("spec.finalizers", finalizer, qualifiedName(finalizer)),
    ...(finalizer.includes("/") ||
    ["kubernetes", "orphan", "foregroundDeletion"].includes(finalizer)
      ? []
      : [
          invalid(
            "spec.finalizers",
            finalizer,
            "name is neither a standard finalizer name nor is it fully qualified",
          ),
        ]),
  ]);
}

export function validateNode(node: Node, old?: Node): FieldError[] {
  const errors: FieldError[] = [];
  const providerId = old?.spec?.providerID;
  if (providerId && node.spec?.providerID !== providerId)
    errors.push(
      forbidden(
        "spec.providerID",
        'node updates may not change providerID except from "" to valid',
      ),
    );
  const cidrs = old?.spec?.podCIDRs ?? [];
  if (cidrs.length > 0 && !isDeepStrictEqual(node.spec?.podCIDRs, cidrs))
    errors.push(
      forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'),
    );
  for (const list of ["capacity", "allocatable"] as const)
    for (const [name, quantity] of Object.entries(node.status?.[list] ?? {}))
      errors.push(...validateQuantity(name, quantity, `status.${list}.${name}`));
  const seen = new Set<string>();
  for (const [i, taint] of (node.spec?.taints ?? []).entries()) {
    // metadata.taints is what the real server says.
    const at = `metadata.taints[${i}]`;
    errors.push(...invalidEach(`${at}.key`, taint.key, qualifiedName(taint.key)));
    const messages = labelValue(taint.value ?? "");
    if (messages.length > 0) errors.push(invalid(`${at}.value`, taint.value, messages.join(";")));
    if (!taint.effect) errors.push(required(`${at}.effect`));
    else if (!taintEffects.includes(taint.effect))
      errors.push(notSupported(`${at}.effect`, taint.effect, taintEffects));
    const key = `${taint.key}\n${taint.effect}`;
    if (seen.has(key))
      errors.push(duplicate(at, taint, "taints must be unique by key and effect pair"));
    seen.add(key);
  }
  return errors;
}

/** core/v1 events; those of events.k8s.io have the same store and are converted before. */
export function validateEvent(event: CoreV1Event): FieldError[] {
  const namespace = event.metadata?.namespace ?? "";
  const about = event.involvedObject?.namespace ?? "";
  const errors: FieldError[] = [];
  // Events about cluster-scoped objects live in the namespace default.
  const fits = about === "" ? ["", "default"].includes(namespace) : about === namespace;
  if (!fits)
    errors.push(invalid("involvedObject.namespace", about, "does not match event.namespace"));
  if (event.eventTime === undefined) return errors;
  if (!event.reportingComponent) errors.push(required("reportingController"));
  else
    errors.push(
      ...invalidEach(
        "reportingController",
        event.reportingComponent,
        qualifiedName(event.reportingComponent),
      ),
    );
  if (!event.reportingInstance) errors.push(required("reportingInstance"));
  if (!event.action) errors.push(required("action"));
  if (!event.reason) errors.push(required("reason"));
  if (event.type !== "Normal" && event.type !== "Warning")
    errors.push(invalid("type", "", `has invalid value: ${event.type ?? ""}`));
  return errors;
}

export function validatePriorityClass(priority: PriorityClass, old?: PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  const name = priority.metadata?.name ?? "";
  const highest = 1_000_000_000;
  if (!old && priority.value > highest && !name.startsWith("system-"))
    errors.push(
      forbidden("value", `maximum allowed value of a user defined priority is ${highest}`),
    );
  if (old && priority.value !== old.value)
    errors.push(forbidden("value", "may not be changed in an update."));
  return errors;
}
