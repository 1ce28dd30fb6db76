/**
 * The READY, STATUS and RESTARTS columns of a pod.
 * Source: kubernetes pkg/printers/internalversion/printers.go printPod (v1.32).
 */
import type { Container, ContainerStatus, Pod } from "../../../proto/kubernetes/gen/types.ts";
import { ageOf } from "./human-duration.ts";

export interface PodSummary {
  readonly ready: string;
  readonly status: string;
  readonly restarts: string;
}

interface Tally {
  reason: string;
  ready: number;
  restarts: number;
  lastRestart: string | undefined;
}

export function summarizePod(pod: Pod, nowMs: number): PodSummary {
  const phase = pod.status?.phase ?? "";
  let reason = pod.status?.reason || phase;
  if (condition(pod, "PodScheduled")?.reason === "SchedulingGated") reason = "SchedulingGated";
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar);
  const total = (pod.spec?.containers ?? []).length + sidecars.length;

  const init = tallyInit(pod, { reason, ready: 0, restarts: 0, lastRestart: undefined });
  let tally = init.all;
  if (!init.initializing || condition(pod, "Initialized")?.status === "True") {
    tally = tallyApp(pod, { ...init.sidecars, reason: init.all.reason, ready: init.all.ready });
  }
  if (pod.metadata?.deletionTimestamp !== undefined) {
    if (pod.status?.reason === "NodeLost") tally.reason = "Unknown";
    else if (phase !== "Succeeded" && phase !== "Failed") tally.reason = "Terminating";
  }
  return {
    ready: `${tally.ready}/${total}`,
    status: tally.reason,
    restarts:
      tally.restarts !== 0 && tally.lastRestart !== undefined
        ? `${tally.restarts} (${ageOf(tally.lastRestart, nowMs)} ago)`
        : String(tally.restarts),
  };
}

function tallyInit(pod: Pod, all: Tally): { all: Tally; sidecars: Tally; initializing: boolean } {
  const byName = new Map((pod.spec?.initContainers ?? []).map((c) => [c.name, c]));
  const sidecars: Tally = { ...all };
  for (const [index, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const sidecar = isSidecar(byName.get(status.name));
    countRestarts(all, status);
    if (sidecar) countRestarts(sidecars, status);
    const { terminated, waiting } = status.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && status.started === true) {
      if (status.ready) all.ready += 1;
      continue;
    }
    if (terminated !== undefined) {
      all.reason = `Init:${terminated.reason || exitWords(terminated)}`;
    } else if (waiting?.reason && waiting.reason !== "PodInitializing") {
      all.reason = `Init:${waiting.reason}`;
    } else {
      all.reason = `Init:${index}/${byName.size}`;
    }
    return { all, sidecars, initializing: true };
  }
  return { all, sidecars, initializing: false };
}

function tallyApp(pod: Pod, tally: Tally): Tally {
  let hasRunning = false;
  // From last to first: the first container's reason is the one shown.
  for (const status of [...(pod.status?.containerStatuses ?? [])].reverse()) {
    countRestarts(tally, status);
    const { terminated, waiting, running } = status.state ?? {};
    if (waiting?.reason) tally.reason = waiting.reason;
    else if (terminated !== undefined) tally.reason = terminated.reason || exitWords(terminated);
    else if (status.ready && running !== undefined) {
      hasRunning = true;
      tally.ready += 1;
    }
  }
  if (tally.reason === "Completed" && hasRunning) {
    tally.reason = condition(pod, "Ready")?.status === "True" ? "Running" : "NotReady";
  }
  return tally;
}

function countRestarts(tally: Tally, status: ContainerStatus): void {
  tally.restarts += status.restartCount;
  const finishedAt = status.lastState?.terminated?.finishedAt;
  if (finishedAt === undefined) return;
  if (tally.lastRestart === undefined || Date.parse(finishedAt) > Date.parse(tally.lastRestart)) {
    tally.lastRestart = finishedAt;
  }
}

function exitWords(terminated: { readonly exitCode: number; readonly signal?: number }): string {
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`;
}

function isSidecar(container: Container | undefined): boolean {
  return container?.restartPolicy === "Always";
}

function condition(pod: Pod, type: string) {
  return pod.status?.conditions?.find((candidate) => candidate.type === type);
}
