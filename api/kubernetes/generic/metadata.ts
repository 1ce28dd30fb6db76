/** ObjectMeta as every kind needs it. Source: apiserver pkg/registry/rest/{create,meta,update}.go. */
import { rfc3339 } from "../../../common/clock.ts";
import { nameSuffix, newUid } from "../../../common/ids.ts";
import { apiError } from "../../errors.ts";
import { invalid as invalidField } from "../admission/validation/field-error.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { conflict, invalid, objectModified } from "../status-errors.ts";

// names.SimpleNameGenerator: 63 characters less the five random ones.
const generatedBaseLength = 58;

/** Gives a new object its identity. */
export function fillMetadata(object: KubeObject, namespace: string, nowMs: number): void {
  const { metadata } = object;
  if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== "") {
    throw apiError("BAD_REQUEST", "resourceVersion should not be set on objects to be created");
  }
  for (const field of [
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "generation",
  ] as const) {
    delete metadata[field];
  }
  if (namespace === "") delete metadata.namespace;
  else metadata.namespace = namespace;
  metadata.uid = newUid();
  metadata.creationTimestamp = rfc3339(nowMs);
  if (!metadata.name && metadata.generateName) metadata.name = generateName(metadata.generateName);
  dropEmptyMaps(object);
}

export function generateName(base: string): string {
  return base.slice(0, generatedBaseLength) + nameSuffix();
}

/** Keeps what an update may not change, and refuses stale or foreign versions. */
export function carryMetadata(
  definition: ResourceDefinition,
  next: KubeObject,
  current: KubeObject,
): void {
  const from = current.metadata;
  const to = next.metadata;
  const name = from.name ?? "";
  if (to.uid && to.uid !== from.uid) {
    throw conflict(
      definition,
      name,
      `Precondition failed: UID in precondition: ${to.uid}, UID in object meta: ${from.uid}`,
    );
  }
  if (to.resourceVersion && to.resourceVersion !== from.resourceVersion) {
    throw conflict(definition, name, objectModified);
  }
  if (to.name && to.name !== from.name) {
    throw invalid(definition, name, [invalidField("metadata.name", to.name, "field is immutable")]);
  }
  for (const field of [
    "name",
    "namespace",
    "generateName",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
    "generation",
  ] as const) {
    if (from[field] === undefined) delete to[field];
    else Object.assign(to, { [field]: from[field] });
  }
  delete to.managedFields;
  delete to.selfLink;
  dropEmptyMaps(next);
}

/** Go's omitempty: an emptied map or list is not kept. */
function dropEmptyMaps(object: KubeObject): void {
  for (const field of ["labels", "annotations", "finalizers", "ownerReferences"] as const) {
    const value = object.metadata[field];
    if (value === null || (value !== undefined && Object.keys(value).length === 0)) {
      delete object.metadata[field];
    }
  }
}
