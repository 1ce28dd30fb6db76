/** What every object's metadata must be. Source: apimachinery pkg/api/validation/objectmeta.go. */
import type { ObjectMeta } from "../../../../proto/kubernetes/gen/types.ts";
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  invalidEach,
  required,
  tooLong,
} from "./field-error.ts";
import { labelValue, qualifiedName, type StringCheck } from "./strings.ts";

/** Keys and values of all annotations together. */
const annotationsMaxBytes = 256 * 1024;

/** core/v1 helper IsStandardFinalizerName. */
const standardFinalizers = new Set(["kubernetes", "orphan", "foregroundDeletion"]);

export function validateMetadata(meta: ObjectMeta, nameCheck: StringCheck): FieldError[] {
  const errors: FieldError[] = [];
  if (meta.generateName)
    errors.push(
      ...invalidEach(
        "metadata.generateName",
        meta.generateName,
        nameCheck(maskDash(meta.generateName)),
      ),
    );
  if (!meta.name) errors.push(required("metadata.name", "name or generateName is required"));
  else errors.push(...invalidEach("metadata.name", meta.name, nameCheck(meta.name)));
  errors.push(...validateLabels(meta.labels, "metadata.labels"));
  errors.push(...validateAnnotations(meta.annotations));
  errors.push(...validateOwners(meta));
  for (const [i, finalizer] of (meta.finalizers ?? []).entries()) {
    const field = `metadata.finalizers[${i}]`;
    errors.push(...invalidEach(field, finalizer, qualifiedName(finalizer)));
    if (!finalizer.includes("/") && !standardFinalizers.has(finalizer))
      errors.push(
        invalid(
          field,
          finalizer,
          "name is neither a standard finalizer name nor is it fully qualified",
        ),
      );
  }
  return errors;
}

/** What an update may not change in metadata; the rest is carried over by the server itself. */
export function validateMetadataUpdate(next: ObjectMeta, old: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ["name", "namespace", "uid", "creationTimestamp"] as const)
    if (next[field] !== undefined && next[field] !== old[field])
      errors.push(invalid(`metadata.${field}`, next[field], "field is immutable"));
  if (old.deletionTimestamp !== undefined) {
    const added = (next.finalizers ?? []).filter((item) => !old.finalizers?.includes(item));
    if (added.length > 0)
      errors.push(
        forbidden(
          "metadata.finalizers",
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((item) => JSON.stringify(item)).join(", ")}}`,
        ),
      );
  }
  return errors;
}

export function validateLabels(
  labels: Readonly<Record<string, string>> | undefined,
  field: string,
): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...invalidEach(field, key, qualifiedName(key)),
    ...invalidEach(field, value, labelValue(value)),
  ]);
}

function validateAnnotations(annotations: Readonly<Record<string, string>> | undefined) {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    errors.push(...invalidEach("metadata.annotations", key, qualifiedName(key.toLowerCase())));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > annotationsMaxBytes)
    errors.push(tooLong("metadata.annotations", annotationsMaxBytes));
  return errors;
}

function validateOwners(meta: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  let controller: string | undefined;
  for (const [i, owner] of (meta.ownerReferences ?? []).entries()) {
    const path = `metadata.ownerReferences[${i}]`;
    const slash = owner.apiVersion.includes("/")
      ? owner.apiVersion.split("/", 2)[1]
      : owner.apiVersion;
    if (!slash)
      errors.push(invalid(`${path}.apiVersion`, owner.apiVersion, "version must not be empty"));
    for (const field of ["kind", "name", "uid"] as const)
      if (!owner[field])
        errors.push(invalid(`${path}.${field}`, owner[field] ?? "", "must not be empty"));
    if (!owner.controller) continue;
    if (controller !== undefined)
      errors.push(
        invalid(
          "metadata.ownerReferences",
          meta.ownerReferences,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${owner.kind}/${owner.name}`,
        ),
      );
    controller ??= `${owner.kind}/${owner.name}`;
  }
  return errors;
}

/** A generated name gets a suffix: its prefix may end in a dash. */
function maskDash(name: string): string {
  return name.length > 1 && name.endsWith("-") ? `${name.slice(0, -2)}a` : name;
}

/** Names in a list that stand there twice, each reported at its later place. */
export function duplicatesIn(
  items: readonly { readonly name?: string }[],
  path: string,
  taken: Set<string> = new Set(),
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, { name }] of items.entries()) {
    if (!name) continue;
    if (taken.has(name)) errors.push(duplicate(`${path}[${i}].name`, name));
    taken.add(name);
  }
  return errors;
}
