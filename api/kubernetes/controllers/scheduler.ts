/** Binds pending pods to nodes; tries again whenever a node or a pod changes. */
import { rfc3339 } from "../../../common/clock.ts";
import type { Node, Pod } from "../../../proto/kubernetes/gen/types.ts";
import type { StoreEvent } from "../../store/store.ts";
import type { ApiContext } from "../context.ts";
import { systemWrite } from "../generic/options.ts";
import { updateObject } from "../generic/update.ts";
import type { KubeObject } from "../object.ts";
import { bindPod } from "../resources/pod-binding.ts";
import { type Controller, createController } from "./controller.ts";
import { createEventRecorder, type EventRecorder } from "./event-recorder.ts";
import { type NodeWithPods, schedulePod } from "./scheduling.ts";

const schedulerName = "default-scheduler";

/** One key for all: every attempt looks at the same nodes, so the pods are read once. */
const everyPendingPod = "pending pods";

export function createScheduler(context: ApiContext): Controller {
  const recorder = createEventRecorder(context, schedulerName);
  return createController(context, {
    name: "scheduler",
    allKeys: () => [everyPendingPod],
    keysOf: (event) => (mayChangeDecisions(event) ? [everyPendingPod] : []),
    reconcile() {
      const pods = [...context.store.list({ resource: "pods" }).objects];
      const nodes = nodesWithPods(context, pods);
      const failures: unknown[] = [];
      for (const object of pods.filter(isPending).sort(byPriorityThenAge)) {
        try {
          schedule(context, recorder, object, nodes);
        } catch (error) {
          failures.push(error); // The next pod must not wait for this one.
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, "some pods were not scheduled");
    },
  });
}

/** Binds the pod, or says on the pod why not. Counts it in `nodes` once bound. */
function schedule(
  context: ApiContext,
  recorder: EventRecorder,
  object: KubeObject,
  nodes: readonly NodeWithPods[],
): void {
  const pod = object as unknown as Pod;
  if ((pod.spec?.schedulingGates ?? []).length > 0) {
    const why = "Scheduling is blocked due to non-empty scheduling gates";
    markUnscheduled(context, object, "SchedulingGated", why);
    return;
  }
  const decision = schedulePod(pod, nodes);
  if (decision.nodeName === undefined) {
    // Said once for each reason: retries are frequent, news are not.
    if (markUnscheduled(context, object, "Unschedulable", decision.message)) {
      recorder.record(object, "Warning", "FailedScheduling", decision.message);
    }
    return;
  }
  const { namespace = "", name = "", uid } = object.metadata;
  bindPod(context, {
    namespace,
    name,
    body: {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name, ...(uid === undefined ? {} : { uid }) },
      target: { kind: "Node", name: decision.nodeName },
    },
    dryRun: false,
    user: { name: "system:kube-scheduler", groups: [] },
    warn: () => {},
  });
  nodes.find(({ node }) => node.metadata?.name === decision.nodeName)?.pods.push(pod);
  recorder.record(
    object,
    "Normal",
    "Scheduled",
    `Successfully assigned ${namespace}/${name} to ${decision.nodeName}`,
  );
}

function byPriorityThenAge(a: KubeObject, b: KubeObject): number {
  const priority = (object: KubeObject) => (object as unknown as Pod).spec?.priority ?? 0;
  const created = (object: KubeObject) => object.metadata.creationTimestamp ?? "";
  return priority(b) - priority(a) || created(a).localeCompare(created(b));
}

function isPending(object: KubeObject): boolean {
  const { spec } = object as unknown as Pod;
  return (
    !spec?.nodeName &&
    (spec?.schedulerName ?? schedulerName) === schedulerName &&
    object.metadata.deletionTimestamp === undefined
  );
}

function mayChangeDecisions(event: StoreEvent): boolean {
  if (event.key.resource === "nodes") return true;
  if (event.key.resource !== "pods") return false;
  if (event.type !== "DELETED" && isPending(event.object)) {
    // Our own mark on the pod's status is no reason to look again.
    return (
      event.type === "ADDED" ||
      JSON.stringify(event.previous?.spec) !== JSON.stringify(event.object.spec)
    );
  }
  if (event.type === "DELETED") return usesNode(event.object);
  return event.previous !== undefined && usesNode(event.previous) && !usesNode(event.object);
}

/** Bound and not ended: it takes room. */
function usesNode(object: KubeObject): boolean {
  const { spec, status } = object as unknown as Pod;
  return Boolean(spec?.nodeName) && status?.phase !== "Succeeded" && status?.phase !== "Failed";
}

function nodesWithPods(context: ApiContext, pods: readonly KubeObject[]): NodeWithPods[] {
  const bound = pods.filter(usesNode).map((object) => object as unknown as Pod);
  return [...context.store.list({ resource: "nodes" }).objects].map((object) => ({
    node: object as unknown as Node,
    pods: bound.filter((pod) => pod.spec?.nodeName === object.metadata.name),
  }));
}

/** True when the pod's condition says something new. */
function markUnscheduled(
  context: ApiContext,
  object: KubeObject,
  reason: string,
  message: string,
): boolean {
  const old = (object as unknown as Pod).status?.conditions?.find(
    (condition) => condition.type === "PodScheduled",
  );
  if (old?.status === "False" && old.reason === reason && old.message === message) return false;
  const { namespace = "", name = "" } = object.metadata;
  updateObject(
    context,
    context.registry.stored("pods"),
    { namespace, name },
    (current) => {
      const pod = current as unknown as Pod;
      const others = (pod.status?.conditions ?? []).filter((c) => c.type !== "PodScheduled");
      pod.status = {
        ...pod.status,
        conditions: [
          ...others,
          {
            type: "PodScheduled",
            status: "False",
            reason,
            message,
            lastTransitionTime:
              old?.status === "False" && old.lastTransitionTime !== undefined
                ? old.lastTransitionTime
                : rfc3339(context.clock.nowMs()),
          },
        ],
      };
      return current;
    },
    systemWrite,
  );
  return true;
}
