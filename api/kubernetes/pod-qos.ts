/** A pod's QoS class. Source: kubernetes pkg/apis/core/v1/helper/qos/qos.go ComputePodQOS. */
import { parseNano } from "../../common/quantity.ts";
import type { Pod } from "../../proto/kubernetes/gen/types.ts";

const considered = ["cpu", "memory"] as const;

export function podQosClass(pod: Pod): "Guaranteed" | "Burstable" | "BestEffort" {
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const requests = new Map<string, bigint>();
  const limits = new Map<string, bigint>();
  let everyoneLimited = true;
  for (const container of containers) {
    add(requests, container.resources?.requests);
    const found = add(limits, container.resources?.limits);
    if (!considered.every((name) => found.has(name))) everyoneLimited = false;
  }
  if (requests.size === 0 && limits.size === 0) return "BestEffort";
  const equal =
    requests.size === limits.size &&
    [...requests].every(([name, amount]) => limits.get(name) === amount);
  return everyoneLimited && equal ? "Guaranteed" : "Burstable";
}

function add(
  sum: Map<string, bigint>,
  amounts: Readonly<Record<string, string>> | undefined,
): Set<string> {
  const found = new Set<string>();
  for (const name of considered) {
    const amount = amounts?.[name] === undefined ? undefined : parseNano(amounts[name]);
    if (amount === undefined || amount === 0n) continue;
    found.add(name);
    sum.set(name, (sum.get(name) ?? 0n) + amount);
  }
  return found;
}
