/**
 * The generated Kubernetes definitions (proto/kubernetes/gen/schema.json) as typed data.
 * Made by scripts/gen-kubernetes.mjs from the models of @kubernetes/client-node.
 */
import document from "../../../proto/kubernetes/gen/schema.json" with { type: "json" };

export interface GroupVersionKind {
  /** "" for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** One of: scalar (with a format), reference to a definition, list, map with string keys. */
export interface FieldType {
  readonly type?: "string" | "boolean" | "integer" | "number" | "any";
  /** date-time, date-time-micro, byte, int32, int64, double, int-or-string, quantity, fields-v1 */
  readonly format?: string;
  readonly ref?: string;
  readonly array?: FieldType;
  readonly map?: FieldType;
}

export interface FieldSchema extends FieldType {
  readonly description?: string;
}

export interface Definition {
  readonly description?: string;
  readonly gvk?: GroupVersionKind;
  readonly required?: readonly string[];
  readonly properties: Readonly<Record<string, FieldSchema>>;
}

/** Every definition by its OpenAPI name, e.g. `io.k8s.api.core.v1.Pod`. */
export const definitions: ReadonlyMap<string, Definition> = new Map(
  Object.entries((document as unknown as { definitions: Record<string, Definition> }).definitions),
);

const nameByKind = new Map<string, string>();
for (const [name, definition] of definitions)
  if (definition.gvk) nameByKind.set(kindKey(definition.gvk), name);

/** Kinds that every group/version accepts (metav1.AddToGroupVersion). */
const groupless = new Set(["DeleteOptions", "Status", "WatchEvent"]);

/** The OpenAPI name of a kind; undefined when the kind is not served. */
export function definitionNameFor(gvk: GroupVersionKind): string | undefined {
  if (groupless.has(gvk.kind)) return `io.k8s.apimachinery.pkg.apis.meta.v1.${gvk.kind}`;
  return nameByKind.get(kindKey(gvk));
}

/** The definition of a kind; undefined when the kind is not served. */
export function definitionFor(gvk: GroupVersionKind): Definition | undefined {
  const name = definitionNameFor(gvk);
  return name === undefined ? undefined : definitions.get(name);
}

/** `io.k8s.api.core.v1.Pod` → `Pod`: also the name of the Go struct. */
export function shortName(definitionName: string): string {
  return definitionName.slice(definitionName.lastIndexOf(".") + 1);
}

/** `apps/v1` or `v1` plus a kind → GroupVersionKind. */
export function gvkOf(apiVersion: string, kind: string): GroupVersionKind {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion, kind }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind };
}

function kindKey({ group, version, kind }: GroupVersionKind): string {
  return `${group}/${version}/${kind}`;
}
