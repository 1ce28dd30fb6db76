/** Tells the API what became of a pod: PATCH pods/status, only when something changed. */
import { isDeepStrictEqual } from "node:util";
import { messageOf } from "../../common/errors.ts";
import type { PodStatus } from "../../proto/kubernetes/gen/types.ts";
import { isConflict, isNotFound } from "../cluster/errors.ts";
import { type PodObject, podsPath } from "../objects.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { observe, type PodRecord } from "./pod-record.ts";
import { podStatus } from "./pod-status.ts";

/** Looks at the runtime and reports. `observeFirst: false` keeps the last look (the runtime is gone). */
export async function report(
  record: PodRecord,
  deps: PodDependencies,
  options: { readonly observeFirst?: boolean } = {},
): Promise<void> {
  if (options.observeFirst !== false) await observe(record, deps);
  const status = statusOfRecord(record, deps);
  if (record.gone || isDeepStrictEqual(status, record.sentStatus)) return;
  const { name, namespace, uid } = record.pod.metadata;
  try {
    const stored = await deps.cluster.patch<PodObject>(
      podsPath(namespace),
      name,
      { metadata: { uid }, status: statusPatch(status, record.sentStatus) },
      { type: "application/strategic-merge-patch+json", subresource: "status" },
    );
    record.sentStatus = status;
    if (status.phase === "Running") record.timeline.finish();
    // Ahead of the watch, whose older events are then ignored: conditions build on what is stored.
    record.pod = stored;
  } catch (error) {
    // Deleted, or replaced by another pod of this name: the watch is about to say so.
    if (!isNotFound(error) && !isConflict(error)) throw error;
    deps.log.debug({ pod: name, error: messageOf(error) }, "status not taken");
  }
}

export function statusOfRecord(record: PodRecord, deps: PodDependencies): PodStatus {
  const { sandbox } = record;
  const alive = sandbox?.state === "ready";
  return podStatus({
    pod: record.pod,
    views: record.views,
    waiting: record.waiting,
    sandboxReady: alive,
    podIp: record.pod.spec.hostNetwork
      ? deps.node.hostIp
      : // A finished pod keeps showing the address it had.
        (sandbox?.ip ?? (record.ended ? record.pod.status?.podIP : undefined)),
    hostIp: deps.node.hostIp,
    startedAtMs: record.startedAtMs,
    nowMs: deps.clock.nowMs(),
    ended: record.ended,
    failure: record.failure,
  });
}

/**
 * A strategic merge patch that leaves `status` in the API exactly so: what is gone is null, and lists
 * that merge by key say their order and what leaves them (as apimachinery's two-way patches do).
 */
export function statusPatch(status: PodStatus, before: PodStatus = {}): Record<string, unknown> {
  const patch: Record<string, unknown> = { ...status };
  for (const key of owned) {
    if (!(key in status) && key in before) patch[key] = null;
  }
  patch["$setElementOrder/conditions"] = (status.conditions ?? []).map(({ type }) => ({ type }));
  patch.conditions = (status.conditions ?? []).map((condition) => {
    const old = before.conditions?.find(({ type }) => type === condition.type);
    return {
      ...(old?.reason !== undefined ? { reason: null } : {}),
      ...(old?.message !== undefined ? { message: null } : {}),
      ...condition,
    };
  });
  if (status.podIPs && !isDeepStrictEqual(status.podIPs, before.podIPs)) {
    const gone = (before.podIPs ?? []).filter(
      ({ ip }) => !status.podIPs?.some((each) => each.ip === ip),
    );
    patch.podIPs = [...status.podIPs, ...gone.map(({ ip }) => ({ $patch: "delete", ip }))];
  }
  return patch;
}

/** The fields this agent may take away again. */
const owned = [
  "reason",
  "message",
  "podIP",
  "podIPs",
  "initContainerStatuses",
  "containerStatuses",
  "ephemeralContainerStatuses",
] as const satisfies ReadonlyArray<keyof PodStatus>;
