/**
 * How a pod ends: by itself (finish), by deletion (terminate), or because the node goes down (stop).
 * Every road is safe to walk twice: kubelet kuberuntime_manager.go killPodWithSyncResult, pod_workers.go.
 */
import { rm } from "node:fs/promises";
import { messageOf } from "../../common/errors.ts";
import { containerReference } from "../events/references.ts";
import { podsPath } from "../objects.ts";
import { removePodFolder } from "../volumes/index.ts";
import { unmountBelow } from "../volumes/mounts.ts";
import type { ContainerView } from "./pod-containers.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { podFolder, podLogFolder } from "./pod-files.ts";
import { type Observation, observe, type PodRecord } from "./pod-record.ts";
import { isSidecarView } from "./restart-policy.ts";
import { removeSandboxes } from "./sandbox-step.ts";
import { report } from "./status-report.ts";

// kubelet pod_workers.go: no pod gets less time between SIGTERM and SIGKILL.
const leastGraceMs = 1_000;
const defaultGraceSeconds = 30;

/** Nothing runs any more and nothing will: the last word on the pod, then its sandbox goes. */
export async function finishPod(record: PodRecord, deps: PodDependencies): Promise<void> {
  await stopContainers(record, deps, () => graceMs(record));
  const seen = await observe(record, deps);
  for (const { id } of seen.sandboxes) await deps.runtime.stopSandbox(id);
  await observe(record, deps);
  record.ended = true;
  try {
    await report(record, deps, { observeFirst: false });
  } catch (error) {
    record.ended = false;
    throw error;
  }
  await retirePod(record, deps, seen);
}

/** A pod the API knows to be Succeeded or Failed: what the node still has of it goes, but for its logs. */
export async function retirePod(
  record: PodRecord,
  deps: PodDependencies,
  seen?: Observation,
): Promise<void> {
  await removeSandboxes((seen ?? (await observe(record, deps))).sandboxes, deps);
  await removePodFolder(podFolder(deps.paths, record.uid));
}

/** Deleted, or gone from the API: SIGTERM, grace, SIGKILL, remove, tell, DELETE. */
export async function terminatePod(
  record: PodRecord,
  deps: PodDependencies,
  stopping: AbortSignal,
): Promise<void> {
  if (record.cleaned) return;
  const wasEnded = record.ended;
  await stopContainers(record, deps, () => graceMs(record), stopping);
  const seen = await observe(record, deps);
  for (const { id } of seen.sandboxes) await deps.runtime.stopSandbox(id);
  await observe(record, deps);
  await removeSandboxes(seen.sandboxes, deps);
  await removePodFolder(podFolder(deps.paths, record.uid));
  record.ended = true;
  if (!record.gone && !wasEnded) await report(record, deps, { observeFirst: false });
  await rm(podLogFolder(deps.paths, record.pod), { recursive: true, force: true });
  deps.data.forgetTokens(record.uid);
  if (!record.gone) {
    const { namespace, name, uid } = record.pod.metadata;
    await deps.cluster.delete(podsPath(namespace), name, { gracePeriodSeconds: 0, uid });
  }
  record.cleaned = true;
}

/** The node goes down: the pod stays in the API and comes back by its restart policy. */
export async function stopPod(
  record: PodRecord,
  deps: PodDependencies,
  grace: number,
): Promise<void> {
  await stopContainers(record, deps, () => grace);
  const seen = await observe(record, deps);
  for (const { id } of seen.sandboxes) await deps.runtime.stopSandbox(id);
  await observe(record, deps);
  if (!record.ended) {
    await report(record, deps, { observeFirst: false }).catch((error: unknown) =>
      deps.log.warn({ error: messageOf(error) }, "the last status was not taken"),
    );
  }
  await removeSandboxes(seen.sandboxes, deps);
  await unmountBelow(podFolder(deps.paths, record.uid));
}

/** Runs again with a shorter time when the record is hurried. */
async function stopContainers(
  record: PodRecord,
  deps: PodDependencies,
  grace: () => number,
  stopping?: AbortSignal,
): Promise<void> {
  await observe(record, deps);
  const running = record.views.filter(({ current }) => current?.state === "running");
  // Sidecars serve the others to the end, so they go last and in reverse order (KEP-753).
  const apps = running.filter((view) => !isSidecarView(view));
  const sidecars = running.filter(isSidecarView).reverse();
  for (const group of [apps, ...sidecars.map((view) => [view])]) {
    for (const view of group) sayKilling(record, view, deps);
    await stopGroup(record, group, deps, grace, stopping);
  }
}

async function stopGroup(
  record: PodRecord,
  group: readonly ContainerView[],
  deps: PodDependencies,
  grace: () => number,
  stopping?: AbortSignal,
): Promise<void> {
  for (;;) {
    const hurry = record.hurry.signal;
    const stops = group.map(async ({ current }) => {
      if (current === undefined) return;
      try {
        await deps.runtime.stopContainer(current.id, grace());
      } catch (error) {
        // Its shim is dead: stopping the sandbox ends what is left.
        deps.log.warn({ container: current.id, error: messageOf(error) }, "stop failed");
      }
    });
    await Promise.race([
      Promise.all(stops),
      aborted(hurry),
      ...(stopping ? [aborted(stopping)] : []),
    ]);
    stopping?.throwIfAborted();
    if (!hurry.aborted) return;
    record.hurry = new AbortController();
  }
}

function sayKilling(record: PodRecord, view: ContainerView, deps: PodDependencies): void {
  const once = `killing ${view.current?.id}`;
  if (record.said.has(once)) return;
  record.said.add(once);
  deps.events.record(containerReference(record.pod, view.kind, view.spec.name), {
    type: "Normal",
    reason: "Killing",
    message: `Stopping container ${view.spec.name}`,
  });
}

function graceMs(record: PodRecord): number {
  const { deletionGracePeriodSeconds, deletionTimestamp } = record.pod.metadata;
  const asked = record.pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
  // Gone without a word: `delete --force`, or the whole namespace was swept.
  if (record.gone) return leastGraceMs;
  const seconds = deletionTimestamp === undefined ? asked : (deletionGracePeriodSeconds ?? asked);
  return Math.max(leastGraceMs, seconds * 1000);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
