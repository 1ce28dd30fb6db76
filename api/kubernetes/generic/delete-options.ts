/** metav1.DeleteOptions from the body or, as curl users do, from the query. */

import { apiError } from "../../errors.ts";
import { isRecord } from "../object.ts";

export type PropagationPolicy = "Background" | "Foreground" | "Orphan";

export interface DeleteRequest {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy: PropagationPolicy;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly dryRun: boolean;
}

export function parseDeleteOptions(body: unknown, query: URLSearchParams): DeleteRequest {
  const options = isRecord(body) ? body : {};
  const preconditions = isRecord(options.preconditions) ? options.preconditions : {};
  const grace = options.gracePeriodSeconds ?? query.get("gracePeriodSeconds") ?? undefined;
  const seconds = grace === undefined || grace === null ? undefined : Number(grace);
  if (seconds !== undefined && !Number.isInteger(seconds)) {
    throw apiError(
      "BAD_REQUEST",
      `gracePeriodSeconds must be a whole number, not ${String(grace)}`,
    );
  }
  const policy =
    options.propagationPolicy ??
    query.get("propagationPolicy") ??
    (options.orphanDependents === true ? "Orphan" : "Background");
  if (policy !== "Background" && policy !== "Foreground" && policy !== "Orphan") {
    throw apiError(
      "INVALID",
      `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: ${JSON.stringify(policy)}: supported values: "Foreground", "Background", "Orphan", "nil"`,
    );
  }
  const dryRun = Array.isArray(options.dryRun) ? options.dryRun : query.getAll("dryRun");
  return {
    gracePeriodSeconds: seconds,
    propagationPolicy: policy,
    uid: text(preconditions.uid),
    resourceVersion: text(preconditions.resourceVersion),
    dryRun: dryRun.length > 0,
  };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
