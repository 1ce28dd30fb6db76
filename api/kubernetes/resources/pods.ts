/** core/v1 Pod. Source: kubernetes pkg/registry/core/pod (strategy.go, storage). */

import { rfc3339 } from "../../../common/clock.ts";
import type { Pod } from "../../../proto/kubernetes/gen/types.ts";
import { defineResource, fieldText, keepStatus, statusSubresource } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { podQosClass } from "../pod-qos.ts";
import { ageOf } from "../tables/human-duration.ts";
import { summarizePod } from "../tables/pod-status.ts";
import { bindPod } from "./pod-binding.ts";
import { evictPod } from "./pod-eviction.ts";

const connect = (name: string, kind: string, verbs: readonly ("create" | "get")[]) =>
  ({ type: "connect", name, kind: { group: "", version: "v1", kind }, verbs }) as const;

const podOf = (object: KubeObject): Pod => object as unknown as Pod;

export const pods = defineResource({
  group: "",
  version: "v1",
  kind: "Pod",
  plural: "pods",
  namespaced: true,
  shortNames: ["po"],
  categories: ["all"],
  returnsDeletedObject: true,
  columns: [
    { name: "Name", description: "Name must be unique within a namespace." },
    {
      name: "Ready",
      description: "The aggregate readiness state of this pod for accepting traffic.",
    },
    { name: "Status", description: "The aggregate status of the containers in this pod." },
    {
      name: "Restarts",
      description:
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    },
    { name: "Age", description: "CreationTimestamp is the server time of creation." },
    { name: "IP", wide: true, description: "podIP address allocated to the pod." },
    { name: "Node", wide: true, description: "The node that runs this pod." },
    {
      name: "Nominated Node",
      wide: true,
      description: "The node this pod may run on after preemption.",
    },
    { name: "Readiness Gates", wide: true, description: "Conditions the pod waits for." },
  ],
  cells(object, nowMs) {
    const pod = podOf(object);
    const summary = summarizePod(pod, nowMs);
    return [
      object.metadata.name ?? "",
      summary.ready,
      summary.status,
      summary.restarts,
      ageOf(object.metadata.creationTimestamp, nowMs),
      pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || "<none>",
      pod.spec?.nodeName || "<none>",
      pod.status?.nominatedNodeName || "<none>",
      readinessGates(pod),
    ];
  },
  fieldSelectors: {
    "spec.nodeName": fieldText("spec.nodeName"),
    "spec.restartPolicy": fieldText("spec.restartPolicy"),
    "spec.schedulerName": fieldText("spec.schedulerName"),
    "spec.serviceAccountName": fieldText("spec.serviceAccountName"),
    "spec.hostNetwork": (object) => String(podOf(object).spec?.hostNetwork ?? false),
    "status.phase": fieldText("status.phase"),
    "status.podIP": fieldText("status.podIP"),
    "status.nominatedNodeName": fieldText("status.nominatedNodeName"),
  },
  prepareCreate(object) {
    // A client has no say in a new pod's status.
    object.status = { phase: "Pending", qosClass: podQosClass(podOf(object)) };
  },
  prepareUpdate: keepStatus,
  deletionGraceSeconds(object, requested) {
    const pod = podOf(object);
    const { phase } = pod.status ?? {};
    // Nobody has to stop what no node runs or what has ended: strategy.go CheckGracefulDelete.
    if (!pod.spec?.nodeName || phase === "Failed" || phase === "Succeeded") return 0;
    const seconds = requested ?? pod.spec.terminationGracePeriodSeconds ?? 30;
    return seconds < 0 ? 1 : seconds;
  },
  subresources: [
    statusSubresource(prepareStatus),
    connect("log", "Pod", ["get"]),
    connect("exec", "PodExecOptions", ["create", "get"]),
    connect("attach", "PodAttachOptions", ["create", "get"]),
    connect("portforward", "PodPortForwardOptions", ["create", "get"]),
    {
      type: "action",
      name: "binding",
      kind: { group: "", version: "v1", kind: "Binding" },
      run: bindPod,
    },
    {
      type: "action",
      name: "eviction",
      kind: { group: "policy", version: "v1", kind: "Eviction" },
      run: evictPod,
    },
    {
      type: "refused",
      name: "ephemeralcontainers",
      reason: "ephemeral containers (kubectl debug on a running pod) are not simulated",
    },
    { type: "refused", name: "resize", reason: "resizing a running pod is not simulated" },
    { type: "refused", name: "proxy", reason: "the pod proxy is not simulated; use port-forward" },
  ],
});

/** strategy.go podStatusStrategy: the QoS class is decided once; times that lack are filled in. */
function prepareStatus(object: KubeObject, old: KubeObject, nowMs: number): void {
  const status = podOf(object).status;
  const oldStatus = podOf(old).status;
  if (status === undefined) {
    object.status = old.status;
    return;
  }
  if (!status.qosClass && oldStatus?.qosClass) status.qosClass = oldStatus.qosClass;
  for (const condition of status.conditions ?? []) {
    const before = oldStatus?.conditions?.find((candidate) => candidate.type === condition.type);
    if (!condition.lastTransitionTime && before?.status !== condition.status) {
      condition.lastTransitionTime = rfc3339(nowMs);
    }
  }
  // Only the deletion road may move these; a node agent that patches a stale copy must not.
  for (const field of ["deletionTimestamp", "deletionGracePeriodSeconds"] as const) {
    if (old.metadata[field] === undefined) delete object.metadata[field];
    else Object.assign(object.metadata, { [field]: old.metadata[field] });
  }
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return "<none>";
  const met = gates.filter((gate) =>
    pod.status?.conditions?.some((c) => c.type === gate.conditionType && c.status === "True"),
  );
  return `${met.length}/${gates.length}`;
}
