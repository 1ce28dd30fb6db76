/** Events: core/v1 and events.k8s.io/v1 are two views of the same objects; the core form is stored. */
import type { CoreV1Event } from "../../../proto/kubernetes/gen/types.ts";
import { defineResource, fieldText, type ResourceForm } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { ageOf } from "../tables/human-duration.ts";

const shared = {
  kind: "Event",
  plural: "events",
  namespaced: true,
  shortNames: ["ev"],
  storage: "events",
  columns: [
    {
      name: "Last Seen",
      description: "The time at which the most recent occurrence was recorded.",
    },
    { name: "Type", description: "Type of this event (Normal, Warning)." },
    { name: "Reason", description: "Why the event was generated." },
    { name: "Object", description: "The object that this event is about." },
    { name: "Subobject", wide: true, description: "The part of the object." },
    { name: "Source", wide: true, description: "The component reporting this event." },
    { name: "Message", description: "A human-readable description of the status." },
    { name: "First Seen", wide: true, description: "When the event was first recorded." },
    { name: "Count", wide: true, type: "integer", description: "How often it has occurred." },
    { name: "Name", wide: true, description: "Name must be unique within a namespace." },
  ],
  cells: eventCells,
} as const satisfies Omit<ResourceForm, "group" | "version">;

const fields = (names: readonly string[], prefix = "") =>
  Object.fromEntries(names.map((name) => [`${prefix}${name}`, fieldText(`${prefix}${name}`)]));

export const events = defineResource({
  ...shared,
  group: "",
  version: "v1",
  fieldSelectors: {
    ...fields(
      ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"],
      "involvedObject.",
    ),
    ...fields(["reason", "type", "reportingComponent"]),
    source: (object) =>
      fieldText("source.component")(object) || fieldText("reportingComponent")(object),
  },
});

/** Field by field the names of kubernetes/api events/v1 and core/v1 conversion. */
const renamed = [
  ["note", "message"],
  ["regarding", "involvedObject"],
  ["reportingController", "reportingComponent"],
  ["deprecatedSource", "source"],
  ["deprecatedFirstTimestamp", "firstTimestamp"],
  ["deprecatedLastTimestamp", "lastTimestamp"],
  ["deprecatedCount", "count"],
] as const;

export const eventsV1 = defineResource({
  ...shared,
  group: "events.k8s.io",
  version: "v1",
  convert: {
    toStored: (object) => rename(object, "v1", (pair) => pair),
    fromStored: (object) =>
      rename(object, "events.k8s.io/v1", ([ours, stored]) => [stored, ours] as const),
  },
  fieldSelectors: {
    ...fields(["reason", "type"]),
    reportingController: fieldText("reportingComponent"),
    ...Object.fromEntries(
      ["kind", "namespace", "name", "uid"].map((name) => [
        `regarding.${name}`,
        fieldText(`involvedObject.${name}`),
      ]),
    ),
  },
});

function rename(
  object: KubeObject,
  apiVersion: string,
  direction: (pair: (typeof renamed)[number]) => readonly [string, string],
): KubeObject {
  const result: KubeObject = { ...object, apiVersion };
  for (const pair of renamed) {
    const [from, to] = direction(pair);
    delete result[from];
    if (object[from] !== undefined) result[to] = object[from];
  }
  return result;
}

/** printers.go printEvent. */
function eventCells(object: KubeObject, nowMs: number) {
  const event = object as unknown as CoreV1Event;
  const eventAge = ageOf(event.eventTime, nowMs);
  const first = event.firstTimestamp ? ageOf(event.firstTimestamp, nowMs) : eventAge;
  const series = event.series;
  const last = series?.lastObservedTime
    ? ageOf(series.lastObservedTime, nowMs)
    : event.lastTimestamp
      ? ageOf(event.lastTimestamp, nowMs)
      : first;
  const { kind = "", name = "" } = event.involvedObject ?? {};
  const component = event.source?.component || event.reportingComponent || "";
  const instance = event.source?.host || event.reportingInstance || "";
  return [
    last,
    event.type ?? "",
    event.reason ?? "",
    name === "" ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`,
    event.involvedObject?.fieldPath ?? "",
    instance === "" ? component : `${component}, ${instance}`,
    (event.message ?? "").trim(),
    first,
    series?.count ?? (event.count || 1),
    object.metadata.name ?? "",
  ];
}
