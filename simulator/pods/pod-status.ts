/**
 * PodStatus from the views of its containers: kubelet kubelet_pods.go generateAPIPodStatus and
 * getPhase, status/generate.go. Pure; times come from what happened, not from a clock.
 */
import { rfc3339 } from "../../common/clock.ts";
import { omitUndefined } from "../../common/omit-undefined.ts";
import type {
  ContainerState,
  ContainerStatus,
  PodCondition,
  PodStatus,
} from "../../proto/kubernetes/gen/types.ts";
import type { PodObject } from "../objects.ts";
import { qosClass } from "../sizing/quality-of-service.ts";
import { podConditions } from "./pod-conditions.ts";
import { type ContainerView, containerIdText } from "./pod-containers.ts";
import { podPhase } from "./pod-phase.ts";
import { isSidecarView, shouldStart } from "./restart-policy.ts";

export interface Waiting {
  readonly reason: string;
  readonly message?: string;
}

export interface PodStatusInput {
  readonly pod: PodObject;
  readonly views: readonly ContainerView[];
  /** Why a container does not run yet, by container name (the kubelet's reason cache). */
  readonly waiting: ReadonlyMap<string, Waiting>;
  readonly sandboxReady: boolean;
  readonly podIp: string | undefined;
  readonly hostIp: string;
  readonly startedAtMs: number;
  readonly nowMs: number;
  /** Nothing of the pod will run any more: it was finished, deleted or stopped for good. */
  readonly ended: boolean;
  /** Ended by the node, with the reason that goes to `status.reason`. */
  readonly failure?: Waiting | undefined;
}

export function podStatus(input: PodStatusInput): PodStatus {
  const { pod, podIp, hostIp, failure } = input;
  const initialized = isInitialized(input.views);
  const statuses = (kind: ContainerView["kind"]) =>
    input.views
      .filter((view) => view.kind === kind)
      .map((view) => containerStatus(view, input, initialized));
  const initStatuses = statuses("init");
  const appStatuses = statuses("app");
  // A refused pod never had containers: kubectl then shows the reason of the refusal as its status.
  const refused =
    failure !== undefined && input.views.every((view) => !view.current && !view.newestEnd);
  const ephemeralStatuses = statuses("ephemeral");
  const phase = failure
    ? "Failed"
    : podPhase(pod.spec, { init: initStatuses, app: appStatuses }, input.ended);
  const computed = podConditions({
    pod,
    phase,
    initStatuses,
    appStatuses,
    sandboxReady: input.sandboxReady && podIp !== undefined,
  });
  return omitUndefined({
    phase,
    reason: failure?.reason,
    message: failure?.message,
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    podIP: podIp,
    podIPs: podIp === undefined ? undefined : [{ ip: podIp }],
    startTime: rfc3339(input.startedAtMs),
    qosClass: pod.status?.qosClass ?? qosClass(pod.spec),
    conditions: keepTransitions(computed, pod.status?.conditions, rfc3339(input.nowMs)),
    initContainerStatuses: refused || initStatuses.length === 0 ? undefined : initStatuses,
    containerStatuses: refused ? undefined : appStatuses,
    ephemeralContainerStatuses:
      refused || ephemeralStatuses.length === 0 ? undefined : ephemeralStatuses,
  });
}

/** Every init container has done its part in the newest sandbox. */
function isInitialized(views: readonly ContainerView[]): boolean {
  if (views.some((view) => view.kind === "app" && view.current !== undefined)) return true;
  return views.every(
    (view) =>
      view.kind !== "init" ||
      (isSidecarView(view)
        ? view.current?.state === "running"
        : view.current?.state === "exited" && view.current.exitCode === 0),
  );
}

function containerStatus(
  view: ContainerView,
  input: PodStatusInput,
  initialized: boolean,
): ContainerStatus {
  const { spec, current } = view;
  const { state, lastState } = statesOf(view, input, initialized);
  const running = state.running !== undefined;
  const isInit = view.kind === "init" && !isSidecarView(view);
  const ready = isInit ? state.terminated?.exitCode === 0 : running;
  const resources =
    spec.resources && Object.keys(spec.resources).length > 0 ? spec.resources : undefined;
  const mounts = spec.volumeMounts?.map(({ name, mountPath, readOnly }) =>
    omitUndefined({
      name,
      mountPath,
      readOnly: readOnly || undefined,
      recursiveReadOnly: readOnly ? "Disabled" : undefined,
    }),
  );
  return omitUndefined({
    name: spec.name,
    state,
    lastState,
    ready,
    started: view.kind === "ephemeral" ? undefined : running,
    restartCount: Math.max(0, current?.attempt ?? view.newestEnd?.attempt ?? 0),
    image: current?.image.requested ?? spec.image ?? "",
    imageID: current?.image.id ?? view.newestEnd?.imageId ?? "",
    containerID: current ? containerIdText(current.id) : view.newestEnd?.state.containerID,
    resources,
    volumeMounts: mounts?.length === 0 ? undefined : mounts,
  });
}

function statesOf(
  view: ContainerView,
  input: PodStatusInput,
  initialized: boolean,
): { state: ContainerState; lastState: ContainerState } {
  const { current, newestEnd, previousEnd } = view;
  const lastState = previousEnd ? { terminated: previousEnd.state } : {};
  if (current?.state === "running") {
    const startedAt = rfc3339(current.startedAtMs ?? current.createdAtMs);
    return { state: { running: { startedAt } }, lastState };
  }
  const over = input.ended || input.failure !== undefined;
  const reason = input.waiting.get(view.spec.name);
  const willRun = !over && shouldStart(view, input.pod.spec);
  // An end is shown as such until there is a word on why the next life has not begun.
  const showsEnd = !willRun || (reason === undefined && current !== undefined);
  if (newestEnd !== undefined && showsEnd) {
    return {
      state: { terminated: newestEnd.state },
      lastState: newestEnd === previousEnd ? {} : lastState,
    };
  }
  if (input.ended && initialized) return { state: { terminated: unknownEnd }, lastState };
  return {
    state: { waiting: waitingFor(reason, initialized, view) },
    lastState: newestEnd ? { terminated: newestEnd.state } : {},
  };
}

function waitingFor(reason: Waiting | undefined, initialized: boolean, view: ContainerView) {
  if (reason !== undefined)
    return omitUndefined({ reason: reason.reason, message: reason.message });
  const afterInit = view.kind === "app" && !initialized;
  return { reason: afterInit ? "PodInitializing" : "ContainerCreating" };
}

// kubelet_pods.go convertToAPIContainerStatuses.
const unknownEnd = {
  exitCode: 137,
  reason: "ContainerStatusUnknown",
  message: "The container could not be located when the pod was terminated",
};

/** Others' conditions stay; a transition time moves only with the status. */
function keepTransitions(
  computed: readonly PodCondition[],
  before: readonly PodCondition[] = [],
  now: string,
): PodCondition[] {
  const merged = computed.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const lastTransitionTime =
      old?.status === condition.status ? (old.lastTransitionTime ?? now) : now;
    return { ...condition, lastTransitionTime };
  });
  const others = before.filter(({ type }) => !computed.some((each) => each.type === type));
  return [...merged, ...others];
}
