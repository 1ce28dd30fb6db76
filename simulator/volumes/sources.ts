/** The payloads of the four sources that are volumes of their own and parts of projected ones. */
import type {
  ConfigMapProjection,
  DownwardAPIVolumeFile,
  KeyToPath,
  SecretProjection,
} from "../../proto/kubernetes/gen/types.ts";
import { agentError } from "../errors.ts";
import { fieldRefValue, resourceFieldValue } from "../pods/field-ref.ts";
import type { PayloadFile } from "./atomic-writer.ts";
import { fromConfigMap, fromSecret, keyPayload } from "./key-payload.ts";
import type { VolumeContext } from "./volume-kind.ts";

// kubernetes pkg/apis/core/v1/defaults.go: the default mode of every such volume.
export const defaultFileMode = 0o644;

type Files = Map<string, PayloadFile>;

export async function configMapFiles(
  source: ConfigMapProjection,
  mode: number,
  context: VolumeContext,
): Promise<Files> {
  const name = source.name ?? "";
  const object = await context.data.configMap(context.pod.metadata.namespace, name);
  const optional = source.optional === true;
  if (object !== undefined) return keyPayload(fromConfigMap(object), source.items, mode, optional);
  if (optional) return new Map();
  throw agentError("VOLUME_SETUP", `configmap "${name}" not found`);
}

export async function secretFiles(
  source: SecretProjection & { readonly items?: KeyToPath[] },
  mode: number,
  context: VolumeContext,
): Promise<Files> {
  const name = source.name ?? "";
  const object = await context.data.secret(context.pod.metadata.namespace, name);
  const optional = source.optional === true;
  if (object !== undefined) return keyPayload(fromSecret(object), source.items, mode, optional);
  if (optional) return new Map();
  throw agentError("VOLUME_SETUP", `secret "${name}" not found`);
}

export function downwardApiFiles(
  items: readonly DownwardAPIVolumeFile[] | undefined,
  mode: number,
  context: VolumeContext,
): Files {
  const files: Files = new Map();
  for (const item of items ?? []) {
    const value = item.fieldRef
      ? fieldRefValue(context.pod, item.fieldRef, context.facts)
      : item.resourceFieldRef
        ? resourceFieldValue(context.pod, item.resourceFieldRef, undefined, context.facts)
        : "";
    files.set(item.path, { data: Buffer.from(value), mode: item.mode ?? mode });
  }
  return files;
}
