/**
 * Fills every living namespace with what pods count on, and empties the ones being deleted.
 * Source: kubernetes pkg/controller/{namespace,serviceaccount}, certificates/rootcacertpublisher.
 */
import type { ApiContext } from "../context.ts";
import { createObject } from "../generic/create.ts";
import { deleteObject } from "../generic/delete.ts";
import { systemWrite } from "../generic/options.ts";
import { updateObject } from "../generic/update.ts";
import { isRecord, type KubeObject } from "../object.ts";
import { namespaceFinalizers } from "../resources/namespaces.ts";
import { type Controller, createController, keysInStore } from "./controller.ts";

const namespaceFinalizer = "kubernetes";

export function createNamespaceController(context: ApiContext): Controller {
  return createController(context, {
    name: "namespace",
    allKeys: () => keysInStore(context, "namespaces"),
    keysOf: ({ key, type }) => {
      if (key.resource === "namespaces") return [key.name];
      return key.namespace !== "" && type === "DELETED" ? [key.namespace] : [];
    },
    reconcile(name) {
      const namespace = context.store.get({ resource: "namespaces", namespace: "", name });
      if (namespace === undefined) return;
      if (namespace.metadata.deletionTimestamp === undefined) fillNamespace(context, name);
      else if (emptyNamespace(context, name)) releaseNamespace(context, namespace);
    },
  });
}

/** Also called on start, so that the first pod need not wait for the controller. */
export function fillNamespace(context: ApiContext, namespace: string): void {
  ensure(context, namespace, "serviceaccounts", {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "default" },
  });
  ensure(context, namespace, "configmaps", {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: "kube-root-ca.crt",
      annotations: {
        "kubernetes.io/description":
          "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.",
      },
    },
    data: { "ca.crt": context.caPem },
  });
}

function ensure(
  context: ApiContext,
  namespace: string,
  resource: string,
  object: KubeObject,
): void {
  const name = object.metadata.name ?? "";
  if (context.store.get({ resource, namespace, name }) !== undefined) return;
  createObject(context, context.registry.stored(resource), namespace, object, systemWrite);
}

/** True when nothing is left. Deleting is asked once; pods take their grace period. */
function emptyNamespace(context: ApiContext, namespace: string): boolean {
  let empty = true;
  for (const definition of context.registry.resources) {
    if (!definition.namespaced || definition.convert || definition.review) continue;
    for (const { metadata } of context.store.list({ resource: definition.storage, namespace })
      .objects) {
      const key = { namespace, name: metadata.name ?? "" };
      if (metadata.deletionTimestamp === undefined) {
        const { gone } = deleteObject(context, definition, key, {
          propagationPolicy: "Background",
          dryRun: false,
        });
        if (gone) continue;
      }
      empty = false;
    }
  }
  return empty;
}

function releaseNamespace(context: ApiContext, namespace: KubeObject): void {
  const left = namespaceFinalizers(namespace).filter((f) => f !== namespaceFinalizer);
  updateObject(
    context,
    context.registry.stored("namespaces"),
    { namespace: "", name: namespace.metadata.name ?? "" },
    (current) => ({
      ...current,
      spec: { ...(isRecord(current.spec) ? current.spec : {}), finalizers: left },
    }),
    systemWrite,
  );
}
