/**
 * A container's environment, command and args: kubelet kubelet_pods.go makeEnvironmentVariables. The
 * error texts are the kubelet's, because users meet them as CreateContainerConfigError.
 */
import type { Container, EnvVar } from "../../proto/kubernetes/gen/types.ts";
import { agentError } from "../errors.ts";
import type { PodObject } from "../objects.ts";
import type { ClusterData } from "./cluster-data.ts";
import { expand } from "./expand.ts";
import { fieldRefValue, type PodFacts, resourceFieldValue } from "./field-ref.ts";

export interface EnvironmentSources {
  readonly pod: PodObject;
  readonly data: Pick<ClusterData, "configMap" | "secret">;
  readonly facts: PodFacts;
}

/** Variables by name, in the order they were first set. Throws CONTAINER_CONFIG. */
export async function containerEnvironment(
  container: Container,
  sources: EnvironmentSources,
): Promise<ReadonlyMap<string, string>> {
  const env = new Map<string, string>();
  // env overrides envFrom, so envFrom comes first.
  for (const from of container.envFrom ?? []) {
    const prefix = from.prefix ?? "";
    if (from.configMapRef) {
      const { name = "", optional } = from.configMapRef;
      const data = await configMapData(sources, name, optional === true);
      for (const [key, value] of Object.entries(data ?? {})) env.set(prefix + key, value);
    }
    if (from.secretRef) {
      const { name = "", optional } = from.secretRef;
      const data = await secretData(sources, name, optional === true);
      for (const [key, value] of Object.entries(data ?? {})) env.set(prefix + key, value);
    }
  }
  for (const variable of container.env ?? []) {
    const value =
      variable.value !== undefined && variable.value !== ""
        ? expand(variable.value, (name) => env.get(name))
        : variable.valueFrom
          ? await valueFrom(container, variable, sources)
          : "";
    if (value !== undefined) env.set(variable.name, value);
  }
  return env;
}

/** Undefined when an optional source is not there. */
async function valueFrom(
  container: Container,
  variable: EnvVar,
  sources: EnvironmentSources,
): Promise<string | undefined> {
  const from = variable.valueFrom ?? {};
  const { pod, facts } = sources;
  if (from.fieldRef) return fieldRefValue(pod, from.fieldRef, facts);
  if (from.resourceFieldRef)
    return resourceFieldValue(pod, from.resourceFieldRef, container, facts);
  const ref = from.configMapKeyRef ?? from.secretKeyRef;
  if (ref === undefined) return "";
  const optional = ref.optional === true;
  const name = ref.name ?? "";
  const data = from.configMapKeyRef
    ? await configMapData(sources, name, optional)
    : await secretData(sources, name, optional);
  if (data === undefined) return undefined;
  const value = data[ref.key];
  if (value === undefined && !optional) {
    const kind = from.configMapKeyRef ? "ConfigMap" : "Secret";
    throw agentError(
      "CONTAINER_CONFIG",
      `couldn't find key ${ref.key} in ${kind} ${pod.metadata.namespace}/${name}`,
    );
  }
  return value;
}

async function configMapData(sources: EnvironmentSources, name: string, optional: boolean) {
  const found = await sources.data.configMap(sources.pod.metadata.namespace, name);
  if (found !== undefined) return found.data ?? {};
  if (optional) return undefined;
  throw agentError("CONTAINER_CONFIG", `configmap "${name}" not found`);
}

async function secretData(sources: EnvironmentSources, name: string, optional: boolean) {
  const found = await sources.data.secret(sources.pod.metadata.namespace, name);
  if (found === undefined) {
    if (optional) return undefined;
    throw agentError("CONTAINER_CONFIG", `secret "${name}" not found`);
  }
  return Object.fromEntries(
    Object.entries(found.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, "base64").toString("utf8"),
    ]),
  );
}
