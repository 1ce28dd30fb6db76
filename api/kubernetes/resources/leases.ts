/** coordination.k8s.io/v1 Lease: the node agent's heartbeat. */
import { defineResource, fieldText } from "../define-resource.ts";
import { ageOf } from "../tables/human-duration.ts";

export const leases = defineResource({
  group: "coordination.k8s.io",
  version: "v1",
  kind: "Lease",
  plural: "leases",
  namespaced: true,
  updateNeedsVersion: true,
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    { name: "Holder", description: "The holder of the lease." },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
  ],
  cells: (object, nowMs) => [
    object.metadata.name ?? "",
    fieldText("spec.holderIdentity")(object),
    ageOf(object.metadata.creationTimestamp, nowMs),
  ],
});
