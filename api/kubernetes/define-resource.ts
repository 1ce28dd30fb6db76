/**
 * The form each file in `resources/` fills in. Everything generic (routes, discovery, tables,
 * selectors, watch) reads these forms; a resource adds behaviour only through the hooks below.
 */
import type { ApiContext, User } from "./context.ts";
import { type GroupVersionKind, isRecord, type KubeObject } from "./object.ts";

export type Verb =
  | "create"
  | "delete"
  | "deletecollection"
  | "get"
  | "list"
  | "patch"
  | "update"
  | "watch";

export const allVerbs: readonly Verb[] = [
  "create",
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "update",
  "watch",
];

/** metav1.TableColumnDefinition; the column called Name gets format "name". */
export interface Column {
  readonly name: string;
  readonly description: string;
  readonly type?: "string" | "integer";
  /** Shown only by -o wide: priority 1. */
  readonly wide?: boolean;
}

export type Cell = string | number;

export interface WriteHooks {
  /** Before validation of a new object: what clients may not choose is reset. */
  prepareCreate?(object: KubeObject, nowMs: number): void;
  /** Before validation of a changed object: keeps what this road may not change. */
  prepareUpdate?(object: KubeObject, old: KubeObject, nowMs: number): void;
}

/** A view of the whole object of which one part is writable: status, finalize. */
export interface PartSubresource {
  readonly type: "part";
  readonly name: string;
  readonly verbs: readonly ("get" | "update" | "patch")[];
  prepareUpdate(object: KubeObject, old: KubeObject, nowMs: number): void;
}

export interface ActionRequest {
  readonly namespace: string;
  readonly name: string;
  readonly body: KubeObject;
  readonly dryRun: boolean;
  readonly user: User;
  warn(message: string): void;
}

/** POST of another kind: binding, eviction. */
export interface ActionSubresource {
  readonly type: "action";
  readonly name: string;
  readonly kind: GroupVersionKind;
  run(context: ApiContext, request: ActionRequest): KubeObject;
}

/** Answered by `streaming/`: log, exec, attach, portforward, proxy. */
export interface ConnectSubresource {
  readonly type: "connect";
  readonly name: string;
  readonly kind: GroupVersionKind;
  readonly verbs: readonly ("create" | "delete" | "get" | "patch" | "update")[];
}

/** Known in Kubernetes, not simulated: any call answers 501 with the reason. */
export interface RefusedSubresource {
  readonly type: "refused";
  readonly name: string;
  readonly reason: string;
}

export type Subresource =
  | PartSubresource
  | ActionSubresource
  | ConnectSubresource
  | RefusedSubresource;

export interface ResourceForm extends WriteHooks {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly singular?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly verbs?: readonly Verb[];
  /** Storage name; two forms with the same one are two views of the same objects. */
  readonly storage?: string;
  /** Between this version's form and the stored one (only for a second view). */
  readonly convert?: {
    toStored(object: KubeObject): KubeObject;
    fromStored(object: KubeObject): KubeObject;
  };
  readonly columns: readonly Column[];
  cells(object: KubeObject, nowMs: number): readonly Cell[];
  /** Besides metadata.name and metadata.namespace. Source: kubernetes registry ToSelectableFields. */
  readonly fieldSelectors?: Readonly<Record<string, (object: KubeObject) => string>>;
  readonly subresources?: readonly Subresource[];
  /** DELETE answers the object instead of a Status. */
  readonly returnsDeletedObject?: boolean;
  /**
   * Seconds an object may still live after DELETE; undefined = goes at once.
   * Source: rest.RESTGracefulDeleteStrategy.
   */
  deletionGraceSeconds?(object: KubeObject, requested: number | undefined): number | undefined;
  /** At the first DELETE, before anything is written (Namespace: phase Terminating). */
  prepareDelete?(object: KubeObject): void;
  /** Something besides metadata.finalizers still holds a deleted object (Namespace spec.finalizers). */
  isHeld?(object: KubeObject): boolean;
  /** A PUT must name the version it replaces. Source: each strategy's AllowUnconditionalUpdate. */
  readonly updateNeedsVersion?: boolean;
  /** A virtual kind that is computed, not stored (SelfSubjectReview). */
  review?(context: ApiContext, body: KubeObject, user: User): KubeObject;
}

export interface ResourceDefinition extends ResourceForm {
  readonly singular: string;
  readonly verbs: readonly Verb[];
  readonly storage: string;
  readonly subresources: readonly Subresource[];
  readonly fieldSelectors: Readonly<Record<string, (object: KubeObject) => string>>;
}

export function defineResource(form: ResourceForm): ResourceDefinition {
  return {
    ...form,
    singular: form.singular ?? form.kind.toLowerCase(),
    verbs: form.verbs ?? allVerbs,
    storage: form.storage ?? (form.group === "" ? form.plural : `${form.plural}.${form.group}`),
    subresources: form.subresources ?? [],
    fieldSelectors: form.fieldSelectors ?? {},
  };
}

/** How errors name a resource: "pods", "runtimeclasses.node.k8s.io". */
export function qualifiedName(definition: {
  readonly group: string;
  readonly plural: string;
}): string {
  return definition.group === "" ? definition.plural : `${definition.plural}.${definition.group}`;
}

/** How Invalid errors name a kind: "Pod", "RuntimeClass.node.k8s.io". */
export function qualifiedKind(definition: {
  readonly group: string;
  readonly kind: string;
}): string {
  return definition.group === "" ? definition.kind : `${definition.kind}.${definition.group}`;
}

/** The subresource /status: only status changes, and spec and metadata stay as they were. */
export function statusSubresource(
  prepareUpdate?: PartSubresource["prepareUpdate"],
): PartSubresource {
  return {
    type: "part",
    name: "status",
    verbs: ["get", "patch", "update"],
    prepareUpdate(object, old, nowMs) {
      object.spec = old.spec;
      keepMetadata(object, old);
      prepareUpdate?.(object, old, nowMs);
    },
  };
}

/** Status writers may set labels, annotations and finalizers, but not adopt or rename. */
function keepMetadata(object: KubeObject, old: KubeObject): void {
  if (old.metadata.ownerReferences === undefined) delete object.metadata.ownerReferences;
  else object.metadata.ownerReferences = old.metadata.ownerReferences;
}

/** Ordinary writes of kinds with /status keep the old status. */
export function keepStatus(object: KubeObject, old: KubeObject): void {
  if (old.status === undefined) delete object.status;
  else object.status = old.status;
}

/** Text at a dotted path, "" when absent: the value a field selector compares with. */
export function fieldText(path: string): (object: KubeObject) => string {
  const steps = path.split(".");
  return (object) => {
    let value: unknown = object;
    for (const step of steps) value = isRecord(value) ? value[step] : undefined;
    return value === undefined || value === null ? "" : String(value);
  };
}
