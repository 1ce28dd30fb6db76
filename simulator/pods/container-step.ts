/**
 * Starts one container: back-off, image, configuration, create, start, with the kubelet's events and
 * waiting reasons (kuberuntime_container.go startContainer, kuberuntime_manager.go doBackOff).
 */

import { dirname } from "node:path";
import { isSimError } from "../../common/errors.ts";
import { containerReference } from "../events/references.ts";
import { podText } from "../objects.ts";
import type { ContainerSpec, ContainerStatus } from "../runtime-port.ts";
import { containerConfig } from "./container-config.ts";
import { goDuration, withHint } from "./event-texts.ts";
import { ensureImage } from "./image-step.ts";
import { addEnd, type ContainerView, nextAttempt, terminationOf } from "./pod-containers.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { removeOldLogs } from "./pod-files.ts";
import type { PodRecord } from "./pod-record.ts";

const nextSyncMs = 10_000;

/** Undefined when it runs, else after how many milliseconds to look again. */
export async function startContainer(
  record: PodRecord,
  view: ContainerView,
  deps: PodDependencies,
): Promise<number | undefined> {
  const { name } = view.spec;
  const about = containerReference(record.pod, view.kind, name);
  const say = (type: "Normal" | "Warning", reason: string, message: string) =>
    deps.events.record(about, { type, reason, message });

  const backoffMs = backOff(record, view, deps);
  if (backoffMs > 0) {
    const delay = goDuration(deps.containerBackoff.delayMs(backoffKey(record, view)));
    say(
      "Warning",
      "BackOff",
      `Back-off restarting failed container ${name} in pod ${podText(record.pod)}`,
    );
    record.waiting.set(name, {
      reason: "CrashLoopBackOff",
      message: `back-off ${delay} restarting failed container=${name} pod=${podText(record.pod)}`,
    });
    return backoffMs;
  }

  const found = await ensureImage(record, view, deps);
  if ("waiting" in found) {
    record.waiting.set(name, found.waiting);
    return found.retryAfterMs;
  }
  record.timeline.reach("image present", name);
  const failed = (reason: string, message: string): number => {
    say("Warning", "Failed", `Error: ${message}`);
    record.waiting.set(name, { reason, message });
    return nextSyncMs;
  };

  // One that was created and never started (the agent died in between) is made anew.
  const leftover = view.current?.state === "created" ? view.current : undefined;
  if (leftover !== undefined) await deps.runtime.removeContainer(leftover.id);
  const attempt = leftover?.attempt ?? nextAttempt(view);
  let spec: ContainerSpec;
  try {
    spec = await containerConfig(
      {
        pod: record.pod,
        container: view.spec,
        attempt,
        image: found.image,
        podIp: record.pod.spec.hostNetwork ? deps.node.hostIp : record.sandbox?.ip,
        volumePaths: record.volumePaths,
      },
      deps,
    );
  } catch (error) {
    return failed("CreateContainerConfigError", withHint(error));
  }
  await removeDead(record, view, deps);
  await removeOldLogs(dirname(spec.logPath), attempt);

  const sandboxId = record.sandbox?.id ?? "";
  let created: ContainerStatus;
  try {
    created = await deps.runtime.createContainer(sandboxId, spec);
  } catch (error) {
    return failed(reasonOf(error, "CreateContainerError"), withHint(error));
  }
  record.timeline.reach("container created", name);
  say("Normal", "Created", `Created container: ${name}`);
  try {
    await deps.runtime.startContainer(created.id);
  } catch (error) {
    const message = withHint(error);
    await noteFailedStart(record, created, message, deps);
    return failed(reasonOf(error, "RunContainerError"), message);
  }
  record.timeline.reach("container started", name);
  record.waiting.delete(name);
  say("Normal", "Started", `Started container ${name}`);
  return undefined;
}

function backoffKey(record: PodRecord, view: ContainerView): string {
  return `${record.uid}/${view.spec.name}`;
}

/** 0 = go on, and the next failure waits longer. */
function backOff(record: PodRecord, view: ContainerView, deps: PodDependencies): number {
  const finishedAt = view.newestEnd?.state.finishedAt;
  if (finishedAt === undefined) return 0;
  const finishedAtMs = view.current?.finishedAtMs ?? Date.parse(finishedAt);
  const key = backoffKey(record, view);
  const remainingMs = deps.containerBackoff.remainingMs(key, finishedAtMs);
  if (remainingMs === 0) deps.containerBackoff.next(key, finishedAtMs);
  return remainingMs;
}

/** The runtime keeps one dead attempt of each container; its status is remembered here. */
async function removeDead(
  record: PodRecord,
  view: ContainerView,
  { runtime }: PodDependencies,
): Promise<void> {
  const sandboxId = record.sandbox?.id;
  if (sandboxId === undefined) return;
  const newest = view.current?.attempt ?? -1;
  for (const status of await runtime.listContainers(sandboxId)) {
    if (status.name === view.spec.name && status.attempt < newest) {
      await runtime.removeContainer(status.id);
    }
  }
}

/** A start that failed is an end like any other: exit code 128, StartError (containerd's CRI). */
async function noteFailedStart(
  record: PodRecord,
  created: ContainerStatus,
  message: string,
  { runtime, clock }: PodDependencies,
): Promise<void> {
  const status = await runtime.containerStatus(created.id);
  if (status !== undefined && status.state !== "created") return;
  await runtime.removeContainer(created.id);
  const nowMs = clock.nowMs();
  const end = terminationOf({
    ...created,
    state: "exited",
    exitCode: 128,
    reason: "StartError",
    message,
    startedAtMs: 0,
    finishedAtMs: nowMs,
  });
  if (end !== undefined && record.history !== undefined) addEnd(record.history, created.name, end);
}

const kubeletWords = new Set([
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
]);

/** The runtime's error table carries the kubelet's word for each of its codes. */
function reasonOf(error: unknown, otherwise: string): string {
  const reason = isSimError(error) ? error.definition.reason : undefined;
  return reason !== undefined && kubeletWords.has(reason) ? reason : otherwise;
}
