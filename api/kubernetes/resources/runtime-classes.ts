/** node.k8s.io/v1 RuntimeClass: names a handler of the node's runtime. */
import { defineResource } from "../define-resource.ts";
import { ageOf } from "../tables/human-duration.ts";

export const runtimeClasses = defineResource({
  group: "node.k8s.io",
  version: "v1",
  kind: "RuntimeClass",
  plural: "runtimeclasses",
  namespaced: false,
  updateNeedsVersion: true,
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    {
      name: "Handler",
      description:
        "handler specifies the underlying runtime and configuration that the CRI implementation will use to handle pods of this class.",
    },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
  ],
  cells: (object, nowMs) => [
    object.metadata.name ?? "",
    String(object.handler ?? ""),
    ageOf(object.metadata.creationTimestamp, nowMs),
  ],
});
