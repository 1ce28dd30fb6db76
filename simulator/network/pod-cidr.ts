/**
 * Which range the pods of this node get: the one it always had, the one asked for, or the first
 * 10.244.N.0/24 that no route of the machine knows, so that several nodes stand beside each other.
 */
import { readFile } from "node:fs/promises";
import { type AddressRange, boundsOf, parseRange } from "./address-range.ts";
import { networkError } from "./errors.ts";

/** A route of the machine, as `ip -j route` tells it. */
export interface Route {
  /** "default", "10.0.0.0/8" or a plain address. */
  readonly dst: string;
  readonly dev?: string;
}

export interface RangeChoice {
  readonly range: AddressRange;
  /** The machine's route that covers it: then the machine cannot reach the pods. */
  readonly conflict: Route | undefined;
}

export interface RangeRequest {
  /** What an earlier life of this node chose: its Node object says so, too. */
  readonly remembered: string | undefined;
  /** `--pod-cidr`, unless "auto". */
  readonly wanted: string | undefined;
  readonly routes: readonly Route[];
}

/** Throws POD_CIDR_INVALID or POD_CIDR_TAKEN. */
export function chooseRange({ remembered, wanted, routes }: RangeRequest): RangeChoice {
  const asked = wanted === undefined ? undefined : parseRange(wanted);
  if (remembered !== undefined) {
    const range = parseRange(remembered);
    if (asked !== undefined && asked.cidr !== range.cidr) {
      throw networkError(
        "POD_CIDR_TAKEN",
        `this node's pods have the range ${range.cidr} already; a Node's podCIDR cannot change`,
        { hint: "katasim down --delete forgets the node, then --pod-cidr chooses anew." },
      );
    }
    return { range, conflict: conflictOf(range, routes) };
  }
  if (asked !== undefined) {
    const conflict = conflictOf(asked, routes);
    if (conflict === undefined) return { range: asked, conflict };
    throw networkError(
      "POD_CIDR_TAKEN",
      `the pod range ${asked.cidr} overlaps the machine's route ${describeRoute(conflict)}`,
      { hint: "Choose another range, or leave --pod-cidr away for the first free one." },
    );
  }
  const candidates = Array.from({ length: 256 }, (_, n) => parseRange(`10.244.${n}.0/24`));
  const free = candidates.find((range) => conflictOf(range, routes) === undefined);
  const range = free ?? (candidates[0] as AddressRange);
  return { range, conflict: free === undefined ? conflictOf(range, routes) : undefined };
}

function conflictOf(range: AddressRange, routes: readonly Route[]): Route | undefined {
  return routes.find(({ dst }) => {
    if (dst === "default" || dst === "0.0.0.0/0") return false;
    const [first, last] = boundsOf(dst);
    return first <= range.last && range.first <= last;
  });
}

export function describeRoute({ dst, dev }: Route): string {
  return dev === undefined ? dst : `${dst} dev ${dev}`;
}

/** Undefined when no life of the node has chosen one. */
export async function readRememberedRange(file: string): Promise<string | undefined> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.trim() === "" ? undefined : text.trim();
}
