/** The pod's phase from its container statuses: kubelet kubelet_pods.go getPhase. Pure. */
import type { ContainerStatus, PodSpec } from "../../proto/kubernetes/gen/types.ts";
import { isSidecar } from "../sizing/pod-resources.ts";

export type PodPhase = "Pending" | "Running" | "Succeeded" | "Failed";

export interface StatusesByKind {
  readonly init: readonly ContainerStatus[];
  readonly app: readonly ContainerStatus[];
}

/** `ended`: nothing of the pod will run any more, whatever its restart policy. */
export function podPhase(spec: PodSpec, statuses: StatusesByKind, ended: boolean): PodPhase {
  const sidecars = new Set((spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  let pendingInit = 0;
  let failedInit = 0;
  for (const { name, state, lastState } of statuses.init) {
    if (sidecars.has(name)) {
      if (state?.waiting && lastState?.terminated === undefined) pendingInit++;
      continue;
    }
    const end = state?.terminated ?? (state?.waiting ? lastState?.terminated : undefined);
    if (end === undefined) pendingInit++;
    else if (end.exitCode !== 0) failedInit++;
    else if (state?.waiting) pendingInit++;
  }

  let running = 0;
  let waiting = 0;
  let stopped = 0;
  let succeeded = 0;
  for (const { state, lastState } of statuses.app) {
    if (state?.running) running++;
    else if (state?.terminated) {
      stopped++;
      if (state.terminated.exitCode === 0) succeeded++;
    } else if (lastState?.terminated) stopped++;
    else waiting++;
  }

  if (failedInit > 0 && (ended || spec.restartPolicy === "Never")) return "Failed";
  if (ended && running === 0) {
    return stopped === statuses.app.length && stopped === succeeded ? "Succeeded" : "Failed";
  }
  if (pendingInit > 0 || failedInit > 0 || waiting > 0) return "Pending";
  if (running > 0 || spec.restartPolicy === "Always") return "Running";
  if (stopped === succeeded) return "Succeeded";
  return spec.restartPolicy === "Never" ? "Failed" : "Running";
}
