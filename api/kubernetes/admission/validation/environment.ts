/** Environment variables of containers. Source: kubernetes pkg/apis/core/validation (ValidateEnv, ValidateEnvFrom). */
import type {
  Container,
  EnvVar,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from "../../../../proto/kubernetes/gen/types.ts";
import { canonicalQuantity } from "../../schema/quantity-form.ts";
import { type FieldError, invalid, invalidEach, notSupported, required } from "./field-error.ts";
import { configMapKey, dnsSubdomain, envVarName, qualifiedName } from "./strings.ts";

const envFieldPaths = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];

const resourcePaths = [
  "limits.cpu",
  "limits.ephemeral-storage",
  "limits.memory",
  "requests.cpu",
  "requests.ephemeral-storage",
  "requests.memory",
];

const byteDivisors = [
  "1",
  "1k",
  "1M",
  "1G",
  "1T",
  "1P",
  "1E",
  "1Ki",
  "1Mi",
  "1Gi",
  "1Ti",
  "1Pi",
  "1Ei",
];
const divisors: Readonly<Record<string, { allowed: readonly string[]; text: string }>> = {
  cpu: {
    allowed: ["1m", "1"],
    text: "only divisor's values 1m and 1 are supported with the cpu resource",
  },
  memory: {
    allowed: byteDivisors,
    text: `only divisor's values ${byteDivisors.join(", ")} are supported with the memory resource`,
  },
  "ephemeral-storage": {
    allowed: byteDivisors,
    text: `only divisor's values ${byteDivisors.join(", ")} are supported with the local ephemeral storage resource`,
  },
};

export function validateEnvironment(container: Container, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, variable] of (container.env ?? []).entries()) {
    const at = `${path}.env[${i}]`;
    if (!variable.name) errors.push(required(`${at}.name`));
    else errors.push(...invalidEach(`${at}.name`, variable.name, envVarName(variable.name)));
    if (variable.valueFrom) errors.push(...validateValueFrom(variable, `${at}.valueFrom`));
  }
  for (const [i, source] of (container.envFrom ?? []).entries()) {
    const at = `${path}.envFrom[${i}]`;
    if (source.prefix)
      errors.push(...invalidEach(`${at}.prefix`, source.prefix, envVarName(source.prefix)));
    const kinds = (["configMapRef", "secretRef"] as const).filter((kind) => source[kind]);
    for (const kind of kinds) {
      const name = source[kind]?.name;
      if (!name) errors.push(required(`${at}.${kind}.name`));
      else errors.push(...invalidEach(`${at}.${kind}.name`, name, dnsSubdomain(name)));
    }
    if (kinds.length === 0)
      errors.push(
        invalid(`${path}.envFrom`, "", "must specify one of: `configMapRef` or `secretRef`"),
      );
    else if (kinds.length > 1)
      errors.push(
        invalid(`${path}.envFrom`, "", "may not have more than one field specified at a time"),
      );
  }
  return errors;
}

function validateValueFrom(variable: EnvVar, path: string): FieldError[] {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = variable.valueFrom ?? {};
  const errors: FieldError[] = [];
  if (fieldRef) errors.push(...validateFieldSelector(fieldRef, envFieldPaths, `${path}.fieldRef`));
  if (resourceFieldRef)
    errors.push(...validateResourceSelector(resourceFieldRef, `${path}.resourceFieldRef`, false));
  const keyRefs = { configMapKeyRef, secretKeyRef };
  for (const [kind, ref] of Object.entries(keyRefs)) {
    if (!ref) continue;
    const at = `${path}.${kind}`;
    const name = ref.name ?? "";
    errors.push(...invalidEach(`${at}.name`, name, dnsSubdomain(name)));
    if (!ref.key) errors.push(required(`${at}.key`));
    else errors.push(...invalidEach(`${at}.key`, ref.key, configMapKey(ref.key)));
  }
  const sources = [fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef].filter(
    Boolean,
  ).length;
  if (sources === 0)
    errors.push(
      invalid(
        path,
        "",
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
      ),
    );
  else if (variable.value)
    errors.push(invalid(path, "", "may not be specified when `value` is not empty"));
  else if (sources > 1)
    errors.push(invalid(path, "", "may not have more than one field specified at a time"));
  return errors;
}

/** A downward API field; `allowed` differs between variables and volumes. */
export function validateFieldSelector(
  selector: ObjectFieldSelector,
  allowed: readonly string[],
  path: string,
): FieldError[] {
  if (!selector.fieldPath) return [required(`${path}.fieldPath`)];
  const subscript = /^(metadata\.(?:annotations|labels))\['(.*)'\]$/.exec(selector.fieldPath);
  if (subscript) {
    const key = subscript[2] ?? "";
    const checked = subscript[1] === "metadata.annotations" ? key.toLowerCase() : key;
    return invalidEach(path, checked, qualifiedName(checked));
  }
  const known = [...allowed, ...envFieldPaths, "metadata.annotations", "metadata.labels"];
  if (!known.includes(selector.fieldPath))
    return [
      invalid(
        `${path}.fieldPath`,
        selector.fieldPath,
        `error converting fieldPath: field label not supported: ${selector.fieldPath}`,
      ),
    ];
  return allowed.includes(selector.fieldPath)
    ? []
    : [notSupported(`${path}.fieldPath`, selector.fieldPath, allowed)];
}

export function validateResourceSelector(
  selector: ResourceFieldSelector,
  path: string,
  inVolume: boolean,
): FieldError[] {
  if (inVolume && !selector.containerName) return [required(`${path}.containerName`)];
  const { resource, divisor } = selector;
  if (!resource) return [required(`${path}.resource`)];
  const errors: FieldError[] = [];
  if (!resourcePaths.includes(resource) && !/^(requests|limits)\.hugepages-/.test(resource))
    errors.push(notSupported(`${path}.resource`, resource, resourcePaths));
  const rule = divisors[resource.replace(/^(requests|limits)\./, "")];
  const canonical = divisor === undefined ? "0" : canonicalQuantity(divisor);
  if (rule && canonical !== "0" && !rule.allowed.includes(canonical ?? ""))
    errors.push(invalid(`${path}.divisor`, resource, rule.text));
  return errors;
}
