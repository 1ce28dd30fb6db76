/** Files from the keys of a configMap or secret: kubernetes pkg/volume/configmap MakePayload and its twin. */
import type { KeyToPath } from "../../proto/kubernetes/gen/types.ts";
import { agentError } from "../errors.ts";
import type { ConfigMapObject, SecretObject } from "../objects.ts";
import type { PayloadFile } from "./atomic-writer.ts";

export type KeyedSource = {
  readonly kind: "configmap" | "secret";
  readonly values: ReadonlyMap<string, Buffer>;
};

export function fromConfigMap(object: ConfigMapObject): KeyedSource {
  const values = new Map<string, Buffer>();
  for (const [key, text] of Object.entries(object.data ?? {})) values.set(key, Buffer.from(text));
  for (const [key, base64] of Object.entries(object.binaryData ?? {})) {
    values.set(key, Buffer.from(base64, "base64"));
  }
  return { kind: "configmap", values };
}

export function fromSecret(object: SecretObject): KeyedSource {
  const values = new Map<string, Buffer>();
  for (const [key, base64] of Object.entries(object.data ?? {})) {
    values.set(key, Buffer.from(base64, "base64"));
  }
  return { kind: "secret", values };
}

export function keyPayload(
  source: KeyedSource,
  items: readonly KeyToPath[] | undefined,
  defaultMode: number,
  optional: boolean,
): Map<string, PayloadFile> {
  const payload = new Map<string, PayloadFile>();
  if (items === undefined || items.length === 0) {
    for (const [key, data] of source.values) payload.set(key, { data, mode: defaultMode });
    return payload;
  }
  for (const { key, path, mode } of items) {
    const data = source.values.get(key);
    if (data === undefined) {
      if (optional) continue;
      const word = source.kind === "configmap" ? "config" : "secret";
      throw agentError(
        "VOLUME_SETUP",
        `${source.kind} references non-existent ${word} key: ${key}`,
      );
    }
    payload.set(path, { data, mode: mode ?? defaultMode });
  }
  return payload;
}
