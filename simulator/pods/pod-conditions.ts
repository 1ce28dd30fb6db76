/** The kubelet's pod conditions: kubelet status/generate.go. Pure; no transition times. */
import { omitUndefined } from "../../common/omit-undefined.ts";
import type { ContainerStatus, PodCondition } from "../../proto/kubernetes/gen/types.ts";
import type { PodObject } from "../objects.ts";
import { isSidecar } from "../sizing/pod-resources.ts";
import type { PodPhase } from "./pod-phase.ts";

export interface ConditionInput {
  readonly pod: PodObject;
  readonly phase: PodPhase;
  readonly initStatuses: readonly ContainerStatus[];
  readonly appStatuses: readonly ContainerStatus[];
  /** The sandbox is up and has its address (for a micro-VM: it has booted). */
  readonly sandboxReady: boolean;
}

/** In the order `kubectl describe` shows them. */
export function podConditions(input: ConditionInput): PodCondition[] {
  const containersReady = containersReadyCondition(input);
  const scheduled = input.pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
  return [
    { type: "PodReadyToStartContainers", status: bool(input.sandboxReady) },
    initializedCondition(input),
    readyCondition(input, containersReady),
    { type: "ContainersReady", ...containersReady },
    // A pod that came with a nodeName never met a scheduler; the kubelet fills this in.
    scheduled ?? { type: "PodScheduled", status: "True" },
  ];
}

type Body = Omit<PodCondition, "type">;

function containersReadyCondition({ phase, appStatuses }: ConditionInput): Body {
  if (phase === "Succeeded") return { status: "False", reason: "PodCompleted" };
  if (phase === "Failed") return { status: "False", reason: "PodFailed" };
  return notReady(
    "unready",
    "ContainersNotReady",
    namesOf(appStatuses, ({ ready }) => !ready),
  );
}

function readyCondition({ pod }: ConditionInput, containersReady: Body): PodCondition {
  if (containersReady.status !== "True") return { type: "Ready", ...containersReady };
  const messages = (pod.spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const found = pod.status?.conditions?.find(({ type }) => type === conditionType);
    if (found === undefined) {
      return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`];
    }
    return found.status === "True"
      ? []
      : [`the status of pod readiness gate "${conditionType}" is not "True", but ${found.status}`];
  });
  return messages.length === 0
    ? { type: "Ready", status: "True" }
    : {
        type: "Ready",
        status: "False",
        reason: "ReadinessGatesNotReady",
        message: messages.join(", "),
      };
}

function initializedCondition(input: ConditionInput): PodCondition {
  const type = "Initialized";
  const sidecars = new Set(
    (input.pod.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name),
  );
  if (input.phase === "Succeeded") return { type, status: "True", reason: "PodCompleted" };
  const appStarted = input.appStatuses.some(
    ({ state, lastState }) => state?.running || state?.terminated || lastState?.terminated,
  );
  const incomplete = namesOf(input.initStatuses, (status) =>
    sidecars.has(status.name) ? status.started !== true : !status.ready,
  );
  if (appStarted) return { type, status: "True" };
  return { type, ...notReady("incomplete", "ContainersNotInitialized", incomplete) };
}

function notReady(word: string, reason: string, names: readonly string[]): Body {
  return omitUndefined({
    status: bool(names.length === 0),
    reason: names.length === 0 ? undefined : reason,
    message:
      names.length === 0 ? undefined : `containers with ${word} status: [${names.join(" ")}]`,
  });
}

function namesOf(
  statuses: readonly ContainerStatus[],
  wanted: (status: ContainerStatus) => boolean,
): string[] {
  return statuses.filter(wanted).map(({ name }) => name);
}

function bool(value: boolean): string {
  return value ? "True" : "False";
}
