/**
 * Which node takes a pod, or why none does: kube-scheduler's default filters, in their order and words.
 * Source: kubernetes pkg/scheduler/framework/plugins, framework/types.go FitError. Pure.
 */
import type { Node, Pod, Taint, Toleration } from "../../../proto/kubernetes/gen/types.ts";
import { matchesNodeAffinity } from "./node-affinity.ts";
import { type Amounts, amountsOf, podRequests, sum } from "./pod-requests.ts";

export interface NodeWithPods {
  readonly node: Node;
  /** Pods bound to it that have not ended. */
  readonly pods: Pod[];
}

export type SchedulingDecision =
  | { readonly nodeName: string }
  | { readonly nodeName: undefined; readonly message: string };

interface Refusal {
  readonly reasons: readonly string[];
  /** Evicting other pods might help: kube-scheduler's Unschedulable as against Unresolvable. */
  readonly resolvable: boolean;
}

export function schedulePod(pod: Pod, nodes: readonly NodeWithPods[]): SchedulingDecision {
  if (nodes.length === 0) {
    return { nodeName: undefined, message: "no nodes available to schedule pods" };
  }
  const refusals: Refusal[] = [];
  const fitting: NodeWithPods[] = [];
  for (const candidate of nodes) {
    const refusal = refusalOf(pod, candidate);
    if (refusal === undefined) fitting.push(candidate);
    else refusals.push(refusal);
  }
  const best = fitting.sort(
    (a, b) => a.pods.length - b.pods.length || nameOf(a.node).localeCompare(nameOf(b.node)),
  )[0];
  return best === undefined
    ? { nodeName: undefined, message: fitError(refusals) }
    : { nodeName: nameOf(best.node) };
}

function refusalOf(pod: Pod, { node, pods }: NodeWithPods): Refusal | undefined {
  const spec = pod.spec;
  if (spec === undefined) return { reasons: ["the pod has no spec"], resolvable: false };
  const unresolvable = (reason: string): Refusal => ({ reasons: [reason], resolvable: false });
  const tolerations = spec.tolerations ?? [];
  const cordoned = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };
  if (node.spec?.unschedulable && !isTolerated(cordoned, tolerations)) {
    return unresolvable("node(s) were unschedulable");
  }
  const taint = (node.spec?.taints ?? []).find(
    (t) => t.effect !== "PreferNoSchedule" && !isTolerated(t, tolerations),
  );
  if (taint !== undefined) {
    return unresolvable(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ""}}`);
  }
  if (!matchesNodeAffinity(spec, node)) {
    return unresolvable("node(s) didn't match Pod's node affinity/selector");
  }
  return portRefusal(pod, pods) ?? fitRefusal(pod, node, pods);
}

function portRefusal(pod: Pod, pods: readonly Pod[]): Refusal | undefined {
  const taken = new Set(pods.flatMap(hostPorts));
  return hostPorts(pod).some((port) => taken.has(port))
    ? {
        reasons: ["node(s) didn't have free ports for the requested pod ports"],
        resolvable: true,
      }
    : undefined;
}

function hostPorts(pod: Pod): string[] {
  return (pod.spec?.containers ?? []).flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => port.hostPort)
      .map((port) => `${port.protocol ?? "TCP"}/${port.hostPort}`),
  );
}

/** NodeResourcesFit. */
function fitRefusal(pod: Pod, node: Node, pods: readonly Pod[]): Refusal | undefined {
  const allocatable = amountsOf(node.status?.allocatable);
  const used = pods.reduce<Amounts>(
    (total, other) => sum(total, other.spec === undefined ? new Map() : podRequests(other.spec)),
    new Map(),
  );
  const reasons: string[] = [];
  let resolvable = true;
  const room = allocatable.get("pods");
  if (room !== undefined && BigInt(pods.length + 1) * 1_000_000_000n > room) {
    reasons.push("Too many pods");
  }
  for (const [name, wanted] of pod.spec === undefined ? [] : podRequests(pod.spec)) {
    const total = allocatable.get(name) ?? 0n;
    if (wanted === 0n || wanted <= total - (used.get(name) ?? 0n)) continue;
    reasons.push(`Insufficient ${name}`);
    if (wanted > total) resolvable = false;
  }
  return reasons.length === 0 ? undefined : { reasons, resolvable };
}

/** v1helper.ToleratesTaint. */
export function isTolerated(taint: Taint, tolerations: readonly Toleration[]): boolean {
  return tolerations.some(
    (toleration) =>
      (!toleration.effect || toleration.effect === taint.effect) &&
      (!toleration.key || toleration.key === taint.key) &&
      (toleration.operator === "Exists" ||
        ((toleration.operator || "Equal") === "Equal" &&
          (toleration.value ?? "") === (taint.value ?? ""))),
  );
}

/** framework/types.go FitError.Error with the default preemption's remark. */
function fitError(refusals: readonly Refusal[]): string {
  const none = `0/${refusals.length} nodes are available:`;
  const reasons = histogram(refusals.flatMap((refusal) => refusal.reasons));
  const preemption = histogram(
    refusals.map((refusal) =>
      refusal.resolvable
        ? "No preemption victims found for incoming pod"
        : "Preemption is not helpful for scheduling",
    ),
  );
  return `${none} ${reasons}. preemption: ${none} ${preemption}.`;
}

function histogram(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts]
    .map(([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(", ");
}

function nameOf(node: Node): string {
  return node.metadata?.name ?? "";
}
