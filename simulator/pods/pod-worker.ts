/**
 * One pod, one step at a time: look (spec and runtime), decide (pod-plan), act, report. Level
 * triggered: whatever woke it, it acts on what is, so a lost event costs time and never a state.
 */
import { messageOf } from "../../common/errors.ts";
import { containerReference, podReference } from "../events/references.ts";
import { refusalOf, resourceRefusal } from "./admission.ts";
import { startContainer } from "./container-step.ts";
import { ignoredRequests, notSimulated, sharedHostPaths } from "./plain-warnings.ts";
import type { ContainerView } from "./pod-containers.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { finishPod, retirePod, terminatePod } from "./pod-ending.ts";
import { planPod } from "./pod-plan.ts";
import { observeSettled, type PodRecord } from "./pod-record.ts";
import type { Waiting } from "./pod-status.ts";
import { createSandbox, handlerOf, setUpVolumes } from "./sandbox-step.ts";
import { report } from "./status-report.ts";

/** Resolves with the delay until it wants to look again without being woken. */
export async function syncPod(
  record: PodRecord,
  deps: PodDependencies,
  stopping: AbortSignal,
): Promise<number | undefined> {
  if (isLeaving(record)) {
    await terminatePod(record, deps, stopping);
    return undefined;
  }
  if (record.ended) {
    await retirePod(record, deps);
    return undefined;
  }
  try {
    return await runPod(record, deps);
  } catch (error) {
    if (!record.interrupt.signal.aborted) throw error;
    // Deletion (or the agent's end) broke into the step: on with what it wants.
    deps.log.debug({ pod: record.pod.metadata.name, error: messageOf(error) }, "interrupted");
    return isLeaving(record) ? 0 : undefined;
  }
}

export function isLeaving(record: PodRecord): boolean {
  return record.gone || record.pod.metadata.deletionTimestamp !== undefined;
}

async function runPod(record: PodRecord, deps: PodDependencies): Promise<number | undefined> {
  for (;;) {
    record.interrupt.signal.throwIfAborted();
    const seen = await observeSettled(record, deps);
    const deadlineMs = deadline(record, deps);
    if (deadlineMs !== undefined && deadlineMs <= 0) {
      await failPod(record, deps, deadlineExceeded);
      return undefined;
    }
    const plan = planPod({
      spec: record.pod.spec,
      sandboxReady: seen.sandboxReady,
      containers: record.views,
    });
    if (plan.kind === "finish") {
      await finishPod(record, deps);
      return undefined;
    }
    if (plan.kind === "createSandbox") {
      const waitMs = remaining(record, "", deps);
      if (waitMs > 0) return earliest(waitMs, deadlineMs);
      const refusal = await admit(record, deps);
      if (refusal !== undefined) {
        await failPod(record, deps, refusal);
        return undefined;
      }
      if (seen.sandboxes.length === 0) await report(record, deps, { observeFirst: false });
      const outcome = await createSandbox(record, seen, deps);
      if (outcome === undefined) continue;
      if (typeof outcome === "object") {
        await failPod(record, deps, outcome);
        return undefined;
      }
      const retryMs = outcome;
      setRetry(record, "", retryMs, deps);
      return earliest(retryMs, deadlineMs);
    }
    await replaceContainers(record, plan.replace, deps);
    const retryMs = await startContainers(record, plan.start, deps);
    const after = await observeSettled(record, deps);
    const next = planPod({
      spec: record.pod.spec,
      sandboxReady: after.sandboxReady,
      containers: record.views,
    });
    if (next.kind === "finish") continue;
    await report(record, deps, { observeFirst: false });
    return earliest(retryMs, deadlineMs, plan.replace.length > 0 ? 0 : undefined);
  }
}

/** The earliest wish for another look; undefined when all run. */
async function startContainers(
  record: PodRecord,
  views: readonly ContainerView[],
  deps: PodDependencies,
): Promise<number | undefined> {
  if (views.length === 0) return undefined;
  const volumesMs = await setUpVolumes(record, deps);
  if (volumesMs !== undefined) return volumesMs;
  let retryMs: number | undefined;
  for (const view of views) {
    record.interrupt.signal.throwIfAborted();
    const { name } = view.spec;
    const gateMs = remaining(record, name, deps);
    if (gateMs > 0) {
      retryMs = earliest(retryMs, gateMs);
      continue;
    }
    const wishMs = await startContainer(record, view, deps);
    if (wishMs !== undefined) setRetry(record, name, wishMs, deps);
    retryMs = earliest(retryMs, wishMs);
    if (view !== views.at(-1)) await report(record, deps);
  }
  return retryMs;
}

async function replaceContainers(
  record: PodRecord,
  views: readonly ContainerView[],
  deps: PodDependencies,
): Promise<void> {
  const graceSeconds = record.pod.spec.terminationGracePeriodSeconds ?? 30;
  for (const { kind, spec, current } of views) {
    if (current === undefined) continue;
    deps.events.record(containerReference(record.pod, kind, spec.name), {
      type: "Normal",
      reason: "Killing",
      message: `Container ${spec.name} definition changed, will be restarted`,
    });
    await deps.runtime.stopContainer(current.id, graceSeconds * 1000);
  }
}

/** Once in the pod's life on this node, before its first sandbox. */
async function admit(record: PodRecord, deps: PodDependencies): Promise<Waiting | undefined> {
  if (record.admitted) return undefined;
  const { pod } = record;
  // A class that cannot be read is the sandbox step's to report.
  const handlerName = await handlerOf(record, deps).catch(() => undefined);
  const handler = handlerName === undefined ? undefined : deps.handler(handlerName);
  const others = deps
    .activePods()
    .filter((other) => other !== record)
    .map((other) => other.pod);
  const refusal = refusalOf(pod, handler) ?? resourceRefusal(pod, others, deps.node);
  if (refusal !== undefined) return refusal;
  record.admitted = true;
  const about = podReference(pod);
  for (const message of notSimulated(pod.spec, deps.node)) {
    deps.events.record(about, { type: "Warning", reason: "NotSimulated", message });
  }
  const requests = handler?.sandboxed ? ignoredRequests(pod.spec) : undefined;
  if (requests !== undefined) {
    deps.events.record(about, { type: "Warning", reason: "RequestsIgnored", message: requests });
  }
  const hostPaths = handler?.sandboxed ? sharedHostPaths(pod.spec) : undefined;
  if (hostPaths !== undefined) {
    deps.events.record(about, { type: "Warning", reason: "HostPathShared", message: hostPaths });
  }
  return undefined;
}

/** kubelet.go rejectPod, and active_deadline.go: the pod is Failed and never taken up again. */
async function failPod(record: PodRecord, deps: PodDependencies, why: Waiting): Promise<void> {
  const { reason, message = "" } = why;
  deps.events.record(podReference(record.pod), {
    type: why === deadlineExceeded ? "Normal" : "Warning",
    reason,
    message,
  });
  const rejected = why === deadlineExceeded ? message : `Pod was rejected: ${message}`;
  record.failure = { reason, message: rejected };
  await finishPod(record, deps);
}

const deadlineExceeded: Waiting = {
  reason: "DeadlineExceeded",
  message: "Pod was active on the node longer than the specified deadline",
};

function deadline(record: PodRecord, { clock }: PodDependencies): number | undefined {
  const seconds = record.pod.spec.activeDeadlineSeconds;
  return seconds === undefined ? undefined : record.startedAtMs + seconds * 1000 - clock.nowMs();
}

function setRetry(record: PodRecord, step: string, delayMs: number, deps: PodDependencies): void {
  record.retryAtMs.set(step, deps.clock.nowMs() + delayMs);
}

function remaining(record: PodRecord, step: string, { clock }: PodDependencies): number {
  return Math.max(0, (record.retryAtMs.get(step) ?? 0) - clock.nowMs());
}

function earliest(...delays: ReadonlyArray<number | undefined>): number | undefined {
  const known = delays.filter((delay) => delay !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
