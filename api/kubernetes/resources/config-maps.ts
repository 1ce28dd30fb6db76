/** core/v1 ConfigMap. */
import { defineResource } from "../define-resource.ts";
import { isRecord } from "../object.ts";
import { ageOf } from "../tables/human-duration.ts";

export const configMaps = defineResource({
  group: "",
  version: "v1",
  kind: "ConfigMap",
  plural: "configmaps",
  namespaced: true,
  shortNames: ["cm"],
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    { name: "Data", type: "integer", description: "Number of keys in data and binaryData." },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
  ],
  cells: (object, nowMs) => [
    object.metadata.name ?? "",
    countKeys(object.data) + countKeys(object.binaryData),
    ageOf(object.metadata.creationTimestamp, nowMs),
  ],
});

export function countKeys(map: unknown): number {
  return isRecord(map) ? Object.keys(map).length : 0;
}
