/**
 * Deletes what nobody owns any more, and carries out the Foreground and Orphan deletion policies.
 * Source: kubernetes pkg/controller/garbagecollector.
 */
import type { ObjectKey, StoreEvent } from "../../store/store.ts";
import type { ApiContext } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import { deleteObject } from "../generic/delete.ts";
import { systemWrite } from "../generic/options.ts";
import { updateObject } from "../generic/update.ts";
import type { KubeObject, OwnerReference } from "../object.ts";
import { type Controller, createController } from "./controller.ts";

const foreground = "foregroundDeletion";
const orphan = "orphan";

export function createGarbageCollector(context: ApiContext): Controller {
  const dependents = createDependentsIndex(context);
  return createController(context, {
    name: "garbage-collector",
    allKeys: () => dependents.all(),
    keysOf(event) {
      dependents.note(event);
      const keys = [keyText(event.key)];
      if (event.type === "DELETED" || isPolicyPending(event.object)) {
        keys.push(...dependents.of(event.object.metadata.uid));
      }
      // A dependent that goes may free an owner that waits for it.
      if (event.type === "DELETED") keys.push(...ownersOf(context, event));
      return keys;
    },
    reconcile(text) {
      const key = readKey(text);
      const object = context.store.get(key);
      if (object === undefined) return;
      const definition = context.registry.stored(key.resource);
      if (object.metadata.deletionTimestamp !== undefined) {
        carryOutPolicy(context, definition, key, object, [...dependents.of(object.metadata.uid)]);
      } else if (isAbandoned(context, object)) {
        deleteObject(context, definition, key, {
          propagationPolicy: "Background",
          uid: object.metadata.uid,
          dryRun: false,
        });
      }
    },
  });
}

function carryOutPolicy(
  context: ApiContext,
  definition: ResourceDefinition,
  key: ObjectKey,
  object: KubeObject,
  dependentKeys: readonly string[],
): void {
  const finalizers = object.metadata.finalizers ?? [];
  if (finalizers.includes(orphan)) {
    for (const text of dependentKeys) disown(context, readKey(text), object.metadata.uid);
    dropFinalizer(context, definition, key, orphan);
  } else if (finalizers.includes(foreground)) {
    const living = dependentKeys
      .map(readKey)
      .filter((dependent) => context.store.get(dependent) !== undefined);
    for (const dependent of living) {
      deleteObject(context, context.registry.stored(dependent.resource), dependent, {
        propagationPolicy: "Background",
        dryRun: false,
      });
    }
    if (living.every((dependent) => context.store.get(dependent) === undefined)) {
      dropFinalizer(context, definition, key, foreground);
    }
  }
}

function dropFinalizer(
  context: ApiContext,
  definition: ResourceDefinition,
  key: ObjectKey,
  finalizer: string,
): void {
  updateObject(
    context,
    definition,
    key,
    (current) => {
      current.metadata.finalizers = (current.metadata.finalizers ?? []).filter(
        (f) => f !== finalizer,
      );
      return current;
    },
    systemWrite,
  );
}

function disown(context: ApiContext, key: ObjectKey, uid: string | undefined): void {
  if (context.store.get(key) === undefined) return;
  updateObject(
    context,
    context.registry.stored(key.resource),
    key,
    (current) => {
      current.metadata.ownerReferences = (current.metadata.ownerReferences ?? []).filter(
        (owner) => owner.uid !== uid,
      );
      return current;
    },
    systemWrite,
  );
}

/** It has owners, and none of them exists with the uid it names. */
function isAbandoned(context: ApiContext, object: KubeObject): boolean {
  const owners = object.metadata.ownerReferences ?? [];
  return owners.length > 0 && owners.every((owner) => isGone(context, owner, object));
}

function isGone(context: ApiContext, owner: OwnerReference, dependent: KubeObject): boolean {
  const definition = context.registry.findKind(owner.apiVersion, owner.kind);
  // Owners of kinds we do not serve cannot be judged: the object stays.
  if (definition === undefined) return false;
  const found = context.store.get(ownerKey(definition, owner, dependent.metadata.namespace));
  return found?.metadata.uid !== owner.uid;
}

function ownerKey(
  definition: ResourceDefinition,
  owner: OwnerReference,
  namespace: string | undefined,
): ObjectKey {
  return {
    resource: definition.storage,
    namespace: definition.namespaced ? (namespace ?? "") : "",
    name: owner.name,
  };
}

function* ownersOf(context: ApiContext, event: StoreEvent): Generator<string> {
  for (const owner of event.object.metadata.ownerReferences ?? []) {
    const definition = context.registry.findKind(owner.apiVersion, owner.kind);
    if (definition === undefined) continue;
    yield keyText(ownerKey(definition, owner, event.object.metadata.namespace));
  }
}

function isPolicyPending(object: KubeObject): boolean {
  const finalizers = object.metadata.finalizers ?? [];
  return finalizers.includes(foreground) || finalizers.includes(orphan);
}

interface DependentsIndex {
  note(event: StoreEvent): void;
  of(uid: string | undefined): Iterable<string>;
  all(): Iterable<string>;
}

/** Owner uid → dependents, kept up to date from the store's events. */
function createDependentsIndex(context: ApiContext): DependentsIndex {
  const byOwner = new Map<string, Set<string>>();
  const add = (object: KubeObject, text: string) => {
    for (const owner of object.metadata.ownerReferences ?? []) {
      const set = byOwner.get(owner.uid) ?? new Set();
      byOwner.set(owner.uid, set.add(text));
    }
  };
  const remove = (object: KubeObject, text: string) => {
    for (const owner of object.metadata.ownerReferences ?? []) {
      const set = byOwner.get(owner.uid);
      set?.delete(text);
      if (set?.size === 0) byOwner.delete(owner.uid);
    }
  };
  const storages = new Set(
    context.registry.resources.filter((r) => !r.review).map((r) => r.storage),
  );
  for (const resource of storages) {
    for (const object of context.store.list({ resource }).objects) {
      const { namespace = "", name = "" } = object.metadata;
      add(object, keyText({ resource, namespace, name }));
    }
  }
  return {
    note({ key, object, previous, type }) {
      if (previous !== undefined) remove(previous, keyText(key));
      if (type !== "DELETED") add(object, keyText(key));
    },
    of: (uid) => byOwner.get(uid ?? "") ?? [],
    all: () => [...byOwner.values()].flatMap((set) => [...set]),
  };
}

function keyText(key: ObjectKey): string {
  return `${key.resource}|${key.namespace}|${key.name}`;
}

function readKey(text: string): ObjectKey {
  const [resource = "", namespace = "", name = ""] = text.split("|");
  return { resource, namespace, name };
}
