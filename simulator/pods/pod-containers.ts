/**
 * One look at each container of a pod: what the spec wants, what the runtime has of it in the newest
 * sandbox, and how its earlier lives ended. All decisions and the status are made from this view.
 */

import { rfc3339 } from "../../common/clock.ts";
import { omitUndefined } from "../../common/omit-undefined.ts";
import type {
  ContainerStatus as ApiContainerStatus,
  Container,
  ContainerStateTerminated,
  EphemeralContainer,
} from "../../proto/kubernetes/gen/types.ts";
import type { PodObject } from "../objects.ts";
import type { ContainerStatus } from "../runtime-port.ts";

export type ContainerKind = "init" | "app" | "ephemeral";

/** The end of one life of a container; kept when the runtime has forgotten it. */
export interface Termination {
  readonly attempt: number;
  readonly state: ContainerStateTerminated;
  readonly imageId: string;
}

export interface ContainerView {
  readonly kind: ContainerKind;
  readonly spec: Container | EphemeralContainer;
  /** In the newest sandbox. */
  readonly current?: ContainerStatus | undefined;
  /** The newest end: of `current` when that has exited, else of an earlier attempt. */
  readonly newestEnd?: Termination;
  /** The end before `current`'s life; Kubernetes' lastState. */
  readonly previousEnd?: Termination;
}

/** Containers in the order they are started. */
export function specContainers(
  pod: PodObject,
): ReadonlyArray<{ readonly kind: ContainerKind; readonly spec: Container | EphemeralContainer }> {
  const of = (kind: ContainerKind, list: ReadonlyArray<Container | EphemeralContainer> = []) =>
    list.map((spec) => ({ kind, spec }));
  return [
    ...of("init", pod.spec.initContainers),
    ...of("app", pod.spec.containers),
    ...of("ephemeral", pod.spec.ephemeralContainers),
  ];
}

export function terminationOf(status: ContainerStatus): Termination | undefined {
  if (status.state !== "exited") return undefined;
  const exitCode = status.exitCode ?? 137;
  return {
    attempt: status.attempt,
    imageId: status.image.id,
    state: omitUndefined({
      exitCode,
      reason: status.reason ?? (exitCode === 0 ? "Completed" : "Error"),
      message: status.message,
      startedAt: rfc3339(status.startedAtMs ?? status.createdAtMs),
      finishedAt: rfc3339(status.finishedAtMs ?? status.createdAtMs),
      containerID: containerIdText(status.id),
    }),
  };
}

export function containerIdText(id: string): string {
  return `containerd://${id}`;
}

/** Ends by container name, oldest first; two are all that a status shows. */
export type EndHistory = Map<string, readonly Termination[]>;

export function addEnd(history: EndHistory, name: string, end: Termination): void {
  const others = (history.get(name) ?? []).filter(({ attempt }) => attempt !== end.attempt);
  const sorted = [...others, end].sort((a, b) => a.attempt - b.attempt);
  history.set(name, sorted.slice(-2));
}

/**
 * What the API still knows when the runtime knows nothing (after `down`, or on a fresh host). A
 * container the API believes to be running but nobody can find is a ContainerStatusUnknown, as in
 * kubelet_pods.go convertToAPIContainerStatuses.
 */
export function endsFromApi(
  statuses: readonly ApiContainerStatus[] | undefined,
  isKnownToRuntime: (name: string) => boolean,
): EndHistory {
  const history: EndHistory = new Map();
  for (const status of statuses ?? []) {
    const { name, restartCount, imageID: imageId } = status;
    const last = status.lastState?.terminated;
    if (last) addEnd(history, name, { attempt: restartCount - 1, state: last, imageId });
    if (status.state?.terminated) {
      addEnd(history, name, { attempt: restartCount, state: status.state.terminated, imageId });
    } else if (status.state?.waiting && last && status.containerID === last.containerID) {
      // Waiting in back-off: the end shown as lastState is that of the newest attempt.
      history.set(name, [{ attempt: restartCount, state: last, imageId }]);
    } else if (status.state?.running && !isKnownToRuntime(name)) {
      addEnd(history, name, {
        attempt: restartCount,
        imageId,
        state: omitUndefined({
          exitCode: 137,
          reason: "ContainerStatusUnknown",
          message: "The container could not be located when the pod was terminated",
          startedAt: status.state.running.startedAt,
          containerID: status.containerID,
        }),
      });
    }
  }
  return history;
}

/** `history` holds the end of everything in `current` that has exited. */
export function viewContainers(
  pod: PodObject,
  current: ReadonlyMap<string, ContainerStatus>,
  history: EndHistory,
): readonly ContainerView[] {
  return specContainers(pod).map(({ kind, spec }) => {
    const status = current.get(spec.name);
    const ends = history.get(spec.name) ?? [];
    const earlier = status ? ends.filter(({ attempt }) => attempt < status.attempt) : ends;
    return omitUndefined({
      kind,
      spec,
      current: status,
      newestEnd: status?.state === "exited" ? ends.at(-1) : earlier.at(-1),
      previousEnd: earlier.at(-1),
    });
  });
}

/** The number the next life of the container gets; it is Kubernetes' restartCount then. */
export function nextAttempt(view: ContainerView): number {
  const newest = Math.max(view.current?.attempt ?? -1, view.newestEnd?.attempt ?? -1);
  return newest + 1;
}
