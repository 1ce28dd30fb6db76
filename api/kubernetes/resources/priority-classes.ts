/** scheduling.k8s.io/v1 PriorityClass: resolved at admission; nothing is preempted here. */
import { defineResource } from "../define-resource.ts";
import { ageOf } from "../tables/human-duration.ts";

export const priorityClasses = defineResource({
  group: "scheduling.k8s.io",
  version: "v1",
  kind: "PriorityClass",
  plural: "priorityclasses",
  namespaced: false,
  shortNames: ["pc"],
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    { name: "Value", type: "integer", description: "The priority." },
    { name: "Global-Default", description: "Whether pods without a class get it." },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
    { name: "PreemptionPolicy", wide: true, description: "Policy for preempting lower ones." },
  ],
  cells: (object, nowMs) => [
    object.metadata.name ?? "",
    Number(object.value ?? 0),
    String(object.globalDefault ?? false),
    ageOf(object.metadata.creationTimestamp, nowMs),
    String(object.preemptionPolicy ?? ""),
  ],
});
