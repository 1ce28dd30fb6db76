/** core/v1 Namespace: goes through Terminating; the lifecycle controller empties it. */
import { defineResource, fieldText, keepStatus, statusSubresource } from "../define-resource.ts";
import { isRecord, type KubeObject } from "../object.ts";
import { ageOf } from "../tables/human-duration.ts";

export const namespaces = defineResource({
  group: "",
  version: "v1",
  kind: "Namespace",
  plural: "namespaces",
  namespaced: false,
  shortNames: ["ns"],
  verbs: ["create", "delete", "get", "list", "patch", "update", "watch"],
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    { name: "Status", description: "The status of the namespace" },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
  ],
  cells: (object, nowMs) => [
    object.metadata.name ?? "",
    fieldText("status.phase")(object),
    ageOf(object.metadata.creationTimestamp, nowMs),
  ],
  fieldSelectors: { "status.phase": fieldText("status.phase") },
  prepareCreate(object) {
    object.status = { phase: "Active" };
    const spec = isRecord(object.spec) ? object.spec : {};
    const finalizers = Array.isArray(spec.finalizers) ? spec.finalizers : [];
    object.spec = {
      ...spec,
      finalizers: finalizers.includes("kubernetes") ? finalizers : [...finalizers, "kubernetes"],
    };
    object.metadata.labels = {
      ...object.metadata.labels,
      // NamespaceDefaultLabelName: lets selectors name a namespace.
      "kubernetes.io/metadata.name": object.metadata.name ?? "",
    };
  },
  prepareUpdate(object, old) {
    keepStatus(object, old);
    object.spec = old.spec;
    // The label stays true whatever the client wrote.
    object.metadata.labels = {
      ...object.metadata.labels,
      "kubernetes.io/metadata.name": object.metadata.name ?? "",
    };
  },
  prepareDelete(object) {
    object.status = { ...(isRecord(object.status) ? object.status : {}), phase: "Terminating" };
  },
  isHeld: (object) => namespaceFinalizers(object).length > 0,
  subresources: [
    statusSubresource(),
    {
      type: "part",
      name: "finalize",
      verbs: ["update"],
      prepareUpdate: keepStatus,
    },
  ],
});

/** What the namespace still waits for. */
export function namespaceFinalizers(object: KubeObject): readonly string[] {
  const finalizers = isRecord(object.spec) ? object.spec.finalizers : undefined;
  return Array.isArray(finalizers) ? (finalizers as string[]) : [];
}
