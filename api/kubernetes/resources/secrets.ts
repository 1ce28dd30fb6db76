/** core/v1 Secret. `stringData` is write-only: it becomes base64 `data`. */
import { defineResource, fieldText } from "../define-resource.ts";
import { isRecord, type KubeObject } from "../object.ts";
import { ageOf } from "../tables/human-duration.ts";
import { countKeys } from "./config-maps.ts";

export const secrets = defineResource({
  group: "",
  version: "v1",
  kind: "Secret",
  plural: "secrets",
  namespaced: true,
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    {
      name: "Type",
      description: "Used to facilitate programmatic handling of secret data.",
    },
    { name: "Data", type: "integer", description: "Number of keys in data." },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
  ],
  cells: (object, nowMs) => [
    object.metadata.name ?? "",
    String(object.type ?? ""),
    countKeys(object.data),
    ageOf(object.metadata.creationTimestamp, nowMs),
  ],
  fieldSelectors: { type: fieldText("type") },
  prepareCreate: mergeStringData,
  prepareUpdate: mergeStringData,
});

function mergeStringData(object: KubeObject): void {
  if (isRecord(object.stringData)) {
    const encoded = Object.entries(object.stringData).map(([key, text]) => [
      key,
      Buffer.from(String(text)).toString("base64"),
    ]);
    object.data = { ...(isRecord(object.data) ? object.data : {}), ...Object.fromEntries(encoded) };
  }
  delete object.stringData;
}
