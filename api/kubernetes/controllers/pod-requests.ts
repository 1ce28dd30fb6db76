/**
 * What a pod asks of a node: the larger of its containers together and any init container, plus
 * overhead. Source: component-helpers resource PodRequests (KEP-753 for sidecars).
 */
import { parseNano } from "../../../common/quantity.ts";
import type { Container, PodSpec } from "../../../proto/kubernetes/gen/types.ts";

export type Amounts = ReadonlyMap<string, bigint>;

/** Exact nano-units by resource name. */
export function podRequests(spec: PodSpec): Amounts {
  let running = new Map<string, bigint>();
  for (const container of spec.containers) running = sum(running, requestsOf(container));
  let sidecars = new Map<string, bigint>();
  let peak = new Map<string, bigint>();
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === "Always") {
      sidecars = sum(sidecars, requestsOf(container));
      peak = larger(peak, sidecars);
    } else {
      // An init container runs beside the sidecars started before it.
      peak = larger(peak, sum(sidecars, requestsOf(container)));
    }
  }
  return sum(larger(sum(running, sidecars), peak), amountsOf(spec.overhead));
}

export function amountsOf(quantities: Readonly<Record<string, string>> | undefined): Amounts {
  const amounts = new Map<string, bigint>();
  for (const [name, text] of Object.entries(quantities ?? {})) {
    const amount = parseNano(text);
    if (amount !== undefined) amounts.set(name, amount);
  }
  return amounts;
}

export function sum(a: Amounts, b: Amounts): Map<string, bigint> {
  const result = new Map(a);
  for (const [name, amount] of b) result.set(name, (result.get(name) ?? 0n) + amount);
  return result;
}

function requestsOf(container: Container): Amounts {
  return amountsOf(container.resources?.requests);
}

function larger(a: Amounts, b: Amounts): Map<string, bigint> {
  const result = new Map(a);
  for (const [name, amount] of b) {
    const other = result.get(name);
    if (other === undefined || amount > other) result.set(name, amount);
  }
  return result;
}
