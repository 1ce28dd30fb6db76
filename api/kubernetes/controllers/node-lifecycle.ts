/**
 * Judges nodes by their leases: a node that stopped renewing becomes Unknown, and taints follow the
 * Ready condition. Source: kubernetes pkg/controller/nodelifecycle. Pods are not evicted: with one
 * node there is nowhere to go, and the agent's restart must not cost pods.
 */
import { rfc3339 } from "../../../common/clock.ts";
import type {
  Lease,
  Node,
  NodeCondition,
  Pod,
  Taint,
} from "../../../proto/kubernetes/gen/types.ts";
import type { ApiContext } from "../context.ts";
import { systemWrite } from "../generic/options.ts";
import { updateObject } from "../generic/update.ts";
import type { KubeObject } from "../object.ts";
import { type Controller, createController, keysInStore } from "./controller.ts";
import { createEventRecorder, type EventRecorder } from "./event-recorder.ts";

// kube-controller-manager's --node-monitor-grace-period and --node-monitor-period.
const graceMs = 40_000;
const periodMs = 5_000;
const judged = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
const notReady = "node.kubernetes.io/not-ready";
const unreachable = "node.kubernetes.io/unreachable";
const cordoned = "node.kubernetes.io/unschedulable";
const ownTaints: readonly string[] = [notReady, unreachable, cordoned];

interface Heartbeat {
  renewTime: string | undefined;
  /** When WE saw it change: after our own restart every node gets the full grace again. */
  seenAtMs: number;
}

export function createNodeLifecycle(context: ApiContext): Controller {
  const recorder = createEventRecorder(context, "node-controller");
  const heartbeats = new Map<string, Heartbeat>();
  return createController(context, {
    name: "node-lifecycle",
    resyncMs: periodMs,
    allKeys: () => keysInStore(context, "nodes"),
    keysOf: ({ key }) => (key.resource === "nodes" ? [key.name] : []),
    reconcile(name) {
      const node = context.store.get({ resource: "nodes", namespace: "", name });
      if (node === undefined) {
        heartbeats.delete(name);
        return;
      }
      if (!heartbeats.has(name)) {
        recorder.record(
          node,
          "Normal",
          "RegisteredNode",
          `Node ${name} event: Registered Node ${name} in Controller`,
        );
      }
      const silentMs = silenceOf(context, heartbeats, name);
      if (silentMs > graceMs) markUnknown(context, recorder, node);
      syncTaints(context, name);
    },
  });
}

function silenceOf(context: ApiContext, heartbeats: Map<string, Heartbeat>, name: string): number {
  const key = { resource: "leases.coordination.k8s.io", namespace: "kube-node-lease", name };
  const lease = context.store.get(key) as unknown as Lease | undefined;
  const renewTime = lease?.spec?.renewTime;
  const nowMs = context.clock.nowMs();
  const known = heartbeats.get(name);
  if (known === undefined || known.renewTime !== renewTime) {
    heartbeats.set(name, { renewTime, seenAtMs: nowMs });
    return 0;
  }
  return nowMs - known.seenAtMs;
}

function markUnknown(context: ApiContext, recorder: EventRecorder, object: KubeObject): void {
  const name = object.metadata.name ?? "";
  const before = conditionsOf(object);
  if (judged.every((type) => before.find((c) => c.type === type)?.status === "Unknown")) return;
  const now = rfc3339(context.clock.nowMs());
  const never = before.length === 0;
  updateNode(context, name, (current) => {
    const node = current as unknown as Node;
    const kept = conditionsOf(current).filter((c) => !judged.includes(c.type));
    node.status = {
      ...node.status,
      conditions: [
        ...kept,
        ...judged.map((type) => {
          const old = before.find((c) => c.type === type);
          return {
            ...old,
            type,
            status: "Unknown",
            reason: never ? "NodeStatusNeverUpdated" : "NodeStatusUnknown",
            message: never
              ? "Kubelet never posted node status."
              : "Kubelet stopped posting node status.",
            lastTransitionTime: now,
          };
        }),
      ],
    };
  });
  recorder.record(object, "Normal", "NodeNotReady", `Node ${name} status is now: NodeNotReady`);
  markPodsNotReady(context, name, now);
}

function markPodsNotReady(context: ApiContext, nodeName: string, now: string): void {
  for (const object of context.store.list({ resource: "pods" }).objects) {
    const pod = object as unknown as Pod;
    if (pod.spec?.nodeName !== nodeName) continue;
    if (pod.status?.conditions?.find((c) => c.type === "Ready")?.status !== "True") continue;
    const { namespace = "", name = "" } = object.metadata;
    updateObject(
      context,
      context.registry.stored("pods"),
      { namespace, name },
      (current) => {
        const status = (current as unknown as Pod).status;
        for (const condition of status?.conditions ?? []) {
          if (condition.type !== "Ready") continue;
          condition.status = "False";
          condition.reason = "NodeNotReady";
          condition.lastTransitionTime = now;
        }
        return current;
      },
      systemWrite,
    );
  }
}

/** not-ready while Ready is False, unreachable while Unknown, unschedulable while cordoned. */
function syncTaints(context: ApiContext, name: string): void {
  const object = context.store.get({ resource: "nodes", namespace: "", name });
  if (object === undefined) return;
  const ready = conditionsOf(object).find((c) => c.type === "Ready")?.status;
  const { taints = [], unschedulable } = (object as unknown as Node).spec ?? {};
  const condition = ready === "True" ? undefined : ready === "Unknown" ? unreachable : notReady;
  const wanted: Array<readonly [key: string, effect: string]> = [];
  if (unschedulable) wanted.push([cordoned, "NoSchedule"]);
  if (condition !== undefined) {
    wanted.push([condition, "NoSchedule"]);
    // A node that never reported is only kept free; one that failed also pushes pods out.
    if (ready !== undefined) wanted.push([condition, "NoExecute"]);
  }
  const others = taints.filter((t) => !ownTaints.includes(t.key));
  const now = rfc3339(context.clock.nowMs());
  const own = wanted.map(
    ([key, effect]): Taint =>
      taints.find((t) => t.key === key && t.effect === effect) ?? {
        key,
        effect,
        ...(key === cordoned || effect === "NoExecute" ? { timeAdded: now } : {}),
      },
  );
  const next = [...others, ...own];
  const same =
    next.length === taints.length &&
    next.every((t) => taints.some((old) => old.key === t.key && old.effect === t.effect));
  if (same) return;
  updateNode(context, name, (current) => {
    const { taints: _old, ...spec } = (current as unknown as Node).spec ?? {};
    current.spec = next.length === 0 ? spec : { ...spec, taints: next };
  });
}

function conditionsOf(object: KubeObject): readonly NodeCondition[] {
  return (object as unknown as Node).status?.conditions ?? [];
}

function updateNode(
  context: ApiContext,
  name: string,
  change: (current: KubeObject) => void,
): void {
  updateObject(
    context,
    context.registry.stored("nodes"),
    { namespace: "", name },
    (current) => {
      change(current);
      return current;
    },
    systemWrite,
  );
}
