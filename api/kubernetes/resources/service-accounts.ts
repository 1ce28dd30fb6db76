/** core/v1 ServiceAccount. Tokens are not issued: pods get no API credentials. */
import { defineResource } from "../define-resource.ts";
import { ageOf } from "../tables/human-duration.ts";

export const serviceAccounts = defineResource({
  group: "",
  version: "v1",
  kind: "ServiceAccount",
  plural: "serviceaccounts",
  namespaced: true,
  shortNames: ["sa"],
  returnsDeletedObject: true,
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    { name: "Secrets", type: "integer", description: "Secrets pods may use." },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
  ],
  cells: (object, nowMs) => [
    object.metadata.name ?? "",
    Array.isArray(object.secrets) ? object.secrets.length : 0,
    ageOf(object.metadata.creationTimestamp, nowMs),
  ],
  subresources: [
    {
      type: "refused",
      name: "token",
      reason: "service account tokens are not simulated: this API knows client certificates only",
    },
  ],
});
