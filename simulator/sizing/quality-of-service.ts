/**
 * The pod's QoS class and what follows for the kernel's OOM killer: kubernetes
 * pkg/apis/core/v1/helper/qos/qos.go and kubelet qos/policy.go.
 */
import { parseNano, toUnits } from "../../common/quantity.ts";
import type { Container, PodSpec } from "../../proto/kubernetes/gen/types.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

// kubelet qos/policy.go.
const guaranteedOomScoreAdj = -997;
const bestEffortOomScoreAdj = 1000;
// pkg/apis/scheduling: the priority of system-node-critical and above.
const systemCriticalPriority = 2_000_000_000;

export function qosClass(spec: PodSpec): QosClass {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  let anything = false;
  let guaranteed = true;
  for (const container of containers) {
    for (const resource of ["cpu", "memory"]) {
      const limit = positive(container.resources?.limits?.[resource]);
      const request = positive(container.resources?.requests?.[resource]) ?? limit;
      if (limit !== undefined || request !== undefined) anything = true;
      if (limit === undefined || request !== limit) guaranteed = false;
    }
  }
  if (!anything) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

export function oomScoreAdj(
  spec: PodSpec,
  container: Container,
  memoryCapacityBytes: number,
): number {
  const qos = qosClass(spec);
  if ((spec.priority ?? 0) >= systemCriticalPriority || qos === "Guaranteed") {
    return guaranteedOomScoreAdj;
  }
  if (qos === "BestEffort") return bestEffortOomScoreAdj;
  const request = container.resources?.requests?.memory ?? container.resources?.limits?.memory;
  const requestBytes = request === undefined ? 0 : toUnits(request);
  const score = 1000 - Math.floor((1000 * requestBytes) / memoryCapacityBytes);
  // Burstable stays above Guaranteed and below BestEffort.
  return Math.min(Math.max(score, 1000 + guaranteedOomScoreAdj), bestEffortOomScoreAdj - 1);
}

function positive(quantity: string | undefined): bigint | undefined {
  const nano = quantity === undefined ? undefined : parseNano(quantity);
  return nano !== undefined && nano > 0n ? nano : undefined;
}
