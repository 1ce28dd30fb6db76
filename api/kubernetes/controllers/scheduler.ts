/** Binds pending pods to nodes; tries again whenever a node or a pod changes. */
import { rfc3339 } from "../../../common/clock.ts";
import type { Node, Pod } from "../../../proto/kubernetes/gen/types.ts";
import type { StoreEvent } from "../../store/store.ts";
import type { ApiContext } from "../context.ts";
import { systemWrite } from "../generic/options.ts";
import { updateObject } from "../generic/update.ts";
import type { KubeObject } from "../object.ts";
import { bindPod } from "../resources/pod-binding.ts";
import { type Controller, createController, splitKey } from "./controller.ts";
import { createEventRecorder } from "./event-recorder.ts";
import { type NodeWithPods, schedulePod } from "./scheduling.ts";

const schedulerName = "default-scheduler";

export function createScheduler(context: ApiContext): Controller {
  const recorder = createEventRecorder(context, schedulerName);
  return createController(context, {
    name: "scheduler",
    allKeys: () => pendingKeys(context),
    keysOf: (event) => keysToRetry(context, event),
    reconcile(key) {
      const { namespace, name } = splitKey(key);
      const object = context.store.get({ resource: "pods", namespace, name });
      if (object === undefined || !isPending(object)) return;
      const pod = object as unknown as Pod;
      if ((pod.spec?.schedulingGates ?? []).length > 0) {
        const why = "Scheduling is blocked due to non-empty scheduling gates";
        markUnscheduled(context, object, "SchedulingGated", why);
        return;
      }
      const decision = schedulePod(pod, nodesWithPods(context));
      if (decision.nodeName === undefined) {
        // Said once for each reason: retries are frequent, news are not.
        if (markUnscheduled(context, object, "Unschedulable", decision.message)) {
          recorder.record(object, "Warning", "FailedScheduling", decision.message);
        }
        return;
      }
      bindPod(context, {
        namespace,
        name,
        body: {
          apiVersion: "v1",
          kind: "Binding",
          metadata: { name, ...(object.metadata.uid ? { uid: object.metadata.uid } : {}) },
          target: { kind: "Node", name: decision.nodeName },
        },
        dryRun: false,
        user: { name: "system:kube-scheduler", groups: [] },
        warn: () => {},
      });
      recorder.record(
        object,
        "Normal",
        "Scheduled",
        `Successfully assigned ${namespace}/${name} to ${decision.nodeName}`,
      );
    },
  });
}

function isPending(object: KubeObject): boolean {
  const { spec } = object as unknown as Pod;
  return (
    !spec?.nodeName &&
    (spec?.schedulerName ?? schedulerName) === schedulerName &&
    object.metadata.deletionTimestamp === undefined
  );
}

function keysToRetry(context: ApiContext, event: StoreEvent): Iterable<string> {
  if (event.key.resource === "nodes") return pendingKeys(context);
  if (event.key.resource !== "pods") return [];
  if (event.type !== "DELETED" && isPending(event.object)) {
    // Our own mark on the pod's status is no reason to look again.
    const unchanged = JSON.stringify(event.previous?.spec) === JSON.stringify(event.object.spec);
    return event.type === "MODIFIED" && unchanged
      ? []
      : [`${event.key.namespace}/${event.key.name}`];
  }
  const ended = (object: KubeObject | undefined) => {
    const phase = (object as unknown as Pod | undefined)?.status?.phase;
    return phase === "Succeeded" || phase === "Failed";
  };
  const frees = event.type === "DELETED" || (ended(event.object) && !ended(event.previous));
  return frees ? pendingKeys(context) : [];
}

function* pendingKeys(context: ApiContext): Generator<string> {
  for (const object of context.store.list({ resource: "pods" }).objects) {
    if (isPending(object)) yield `${object.metadata.namespace}/${object.metadata.name}`;
  }
}

function nodesWithPods(context: ApiContext): NodeWithPods[] {
  const byNode = new Map<string, Pod[]>();
  for (const object of context.store.list({ resource: "pods" }).objects) {
    const pod = object as unknown as Pod;
    const { phase } = pod.status ?? {};
    if (!pod.spec?.nodeName || phase === "Succeeded" || phase === "Failed") continue;
    const pods = byNode.get(pod.spec.nodeName) ?? [];
    pods.push(pod);
    byNode.set(pod.spec.nodeName, pods);
  }
  return [...context.store.list({ resource: "nodes" }).objects].map((object) => ({
    node: object as unknown as Node,
    pods: byNode.get(object.metadata.name ?? "") ?? [],
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
