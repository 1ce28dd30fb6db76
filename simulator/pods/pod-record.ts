/**
 * What the agent remembers of one pod between two looks at it. Nothing here is needed to be right
 * after a restart: it is found again in the API and in the runtime.
 */
import type { PodStatus } from "../../proto/kubernetes/gen/types.ts";
import type { PodObject } from "../objects.ts";
import type { ContainerStatus, SandboxStatus } from "../runtime-port.ts";
import {
  addEnd,
  type ContainerView,
  containerIdText,
  type EndHistory,
  endsFromApi,
  specContainers,
  terminationOf,
  viewContainers,
} from "./pod-containers.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import type { Waiting } from "./pod-status.ts";
import { createPodTimeline, type PodTimeline } from "./pod-timeline.ts";
import { terminationMessage } from "./termination-message.ts";

export interface PodRecord {
  readonly uid: string;
  /** As the API last had it. */
  pod: PodObject;
  /** The API has it no more: only clean up. */
  gone: boolean;
  /** Never taken up again: refused by admission, or finished. */
  ended: boolean;
  failure: Waiting | undefined;
  admitted: boolean;
  /** The runtime handler, once the RuntimeClass was read. */
  handler: string | undefined;
  readonly startedAtMs: number;
  readonly waiting: Map<string, Waiting>;
  history: EndHistory | undefined;
  readonly timeline: PodTimeline;
  /** Of the newest look at the runtime. */
  sandbox: SandboxStatus | undefined;
  views: readonly ContainerView[];
  nextSandboxAttempt: number;
  volumePaths: ReadonlyMap<string, string>;
  /** What they show may have changed since they were written. */
  volumesStale: boolean;
  /** What the API was last told. */
  sentStatus: PodStatus | undefined;
  /** Things said once in a pod's life on this agent. */
  readonly said: Set<string>;
  /** No sooner is the step tried again, whatever wakes the worker; by step or container name. */
  readonly retryAtMs: Map<string, number>;
  /** Nothing is left of it on this node. */
  cleaned: boolean;
  /** Ends image pulls and VM boots under way: deletion, or the agent stops. */
  interrupt: AbortController;
  /** Woken when the grace period was shortened or the pod vanished. */
  hurry: AbortController;
}

export function createPodRecord(pod: PodObject, nowMs: number): PodRecord {
  const { startTime, phase } = pod.status ?? {};
  return {
    uid: pod.metadata.uid,
    pod,
    gone: false,
    ended: phase === "Succeeded" || phase === "Failed",
    failure: undefined,
    admitted: startTime !== undefined,
    handler: undefined,
    startedAtMs: startTime === undefined ? nowMs : Date.parse(startTime),
    waiting: new Map(),
    history: undefined,
    timeline: createPodTimeline(),
    sandbox: undefined,
    views: specContainers(pod),
    nextSandboxAttempt: 0,
    volumePaths: new Map(),
    volumesStale: false,
    sentStatus: pod.status,
    said: new Set(),
    retryAtMs: new Map(),
    cleaned: false,
    interrupt: new AbortController(),
    hurry: new AbortController(),
  };
}

export interface Observation {
  readonly sandboxReady: boolean;
  /** Newest last; all sandboxes the runtime still has of this pod. */
  readonly sandboxes: readonly SandboxStatus[];
}

/**
 * As `observe`; a sandbox that died takes everything in it along first. Word of its own end may come
 * before that of its containers, and a decision must not be made in between.
 */
export async function observeSettled(
  record: PodRecord,
  deps: Pick<PodDependencies, "runtime" | "paths">,
): Promise<Observation> {
  const seen = await observe(record, deps);
  const alive = record.views.some(({ current }) => current && current.state !== "exited");
  if (seen.sandboxReady || !alive) return seen;
  for (const { id, state } of seen.sandboxes) {
    if (state !== "ready") await deps.runtime.stopSandbox(id);
  }
  return observe(record, deps);
}

/** Reads the runtime's truth into the record. */
export async function observe(
  record: PodRecord,
  { runtime, paths }: Pick<PodDependencies, "runtime" | "paths">,
): Promise<Observation> {
  const sandboxes = (await runtime.listSandboxes())
    .filter(({ podUid }) => podUid === record.uid)
    .sort((a, b) => a.attempt - b.attempt || a.createdAtMs - b.createdAtMs);
  const lists = await Promise.all(sandboxes.map(({ id }) => runtime.listContainers(id)));
  const everything = lists.flat();
  const reasons = new Map(sandboxes.map(({ id, reason }) => [id, reason]));
  record.history ??= new Map([
    ...endsFromApi(record.pod.status?.initContainerStatuses, isKnown),
    ...endsFromApi(record.pod.status?.containerStatuses, isKnown),
    ...endsFromApi(record.pod.status?.ephemeralContainerStatuses, isKnown),
  ]);
  function isKnown(name: string): boolean {
    return everything.some((status) => status.name === name);
  }
  for (const status of everything) {
    const end = terminationOf(status);
    if (end === undefined || isKnownEnd(record.history, status)) continue;
    const message =
      status.message ??
      (await terminationMessage(record.pod, status, paths)) ??
      // It went down with its sandbox.
      (status.exitCode === 0 ? undefined : reasons.get(status.sandboxId));
    const state = message === undefined ? end.state : { ...end.state, message };
    addEnd(record.history, status.name, { ...end, state });
  }
  record.sandbox = sandboxes.at(-1);
  record.nextSandboxAttempt = Math.max(
    record.nextSandboxAttempt,
    (record.sandbox?.attempt ?? -1) + 1,
  );
  const newest = new Map<string, ContainerStatus>();
  for (const status of lists.at(-1) ?? []) {
    const other = newest.get(status.name);
    if (other === undefined || other.attempt < status.attempt) newest.set(status.name, status);
  }
  record.views = viewContainers(record.pod, newest, record.history);
  return { sandboxes, sandboxReady: record.sandbox?.state === "ready" };
}

/** The API's word for an attempt gives way to the runtime's, which has the finer times. */
function isKnownEnd(history: EndHistory, status: ContainerStatus): boolean {
  return (history.get(status.name) ?? []).some(
    ({ attempt, state }) =>
      attempt === status.attempt && state.containerID === containerIdText(status.id),
  );
}
