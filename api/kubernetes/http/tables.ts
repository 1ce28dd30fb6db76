/** Objects as metav1.Table, the form `kubectl get` prints. */
import type { ResourceDefinition } from "../define-resource.ts";
import { toStored } from "../generic/keys.ts";
import { isRecord, type KubeObject } from "../object.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get("includeObject");
  return value === "None" || value === "Object" ? value : "Metadata";
}

export interface TableOptions {
  readonly version: string;
  readonly includeObject: IncludeObject;
  readonly nowMs: number;
  /** False in all but the first event of a watch. */
  readonly withColumns: boolean;
}

export function tableOf(
  definition: ResourceDefinition,
  items: readonly KubeObject[],
  metadata: object,
  options: TableOptions,
): KubeObject {
  return {
    kind: "Table",
    apiVersion: `meta.k8s.io/${options.version}`,
    metadata: metadata as KubeObject["metadata"],
    columnDefinitions: options.withColumns ? columnsOf(definition) : null,
    rows: items.map((item) => ({
      cells: definition.cells(toStored(definition, item), options.nowMs),
      ...rowObject(item, options),
    })),
  };
}

/** A watch bookmark on a Table watch: one empty row that carries the metadata. */
export function bookmarkTable(
  definition: ResourceDefinition,
  bookmark: KubeObject,
  options: TableOptions,
): KubeObject {
  return {
    ...tableOf(definition, [], bookmark.metadata, { ...options, withColumns: false }),
    rows: [
      {
        cells: definition.columns.map((_column, index) => (index === 0 ? "" : null)),
        object: partialMetadata(bookmark, options.version),
      },
    ],
  };
}

export function partialMetadata(object: KubeObject, version: string): KubeObject {
  return {
    kind: "PartialObjectMetadata",
    apiVersion: `meta.k8s.io/${version}`,
    metadata: object.metadata,
  };
}

function columnsOf(definition: ResourceDefinition) {
  return definition.columns.map((column) => ({
    name: column.name,
    type: column.type ?? "string",
    // kubectl finds the name column by its format.
    format: column.name === "Name" && !column.wide ? "name" : "",
    description: column.description,
    priority: column.wide ? 1 : 0,
  }));
}

function rowObject(item: KubeObject, options: TableOptions): { object?: unknown } {
  if (options.includeObject === "None") return {};
  if (options.includeObject === "Object") return { object: item };
  return { object: partialMetadata(item, options.version) };
}

/** metadata of a single object's Table: only the version. */
export function listMetaOf(object: KubeObject): object {
  const { resourceVersion } = object.metadata;
  return isRecord(object.metadata) && resourceVersion !== undefined ? { resourceVersion } : {};
}
