/** Lists objects: selectors, limit and continue, resourceVersion. Source: KEP-365, api-concepts. */
import { apiError } from "../../errors.ts";
import type { ApiContext } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import { type FieldSelector, parseFieldSelector } from "../field-selector.ts";
import { type LabelSelector, parseLabelSelector } from "../label-selector.ts";
import type { KubeObject } from "../object.ts";
import { fromStored } from "./keys.ts";

export interface Selection {
  readonly labels: LabelSelector;
  readonly fields: FieldSelector;
  /** Some selector was given: the number of remaining items is then unknown. */
  readonly narrowed: boolean;
  /** On the stored form. */
  matches(object: KubeObject): boolean;
}

export interface ListAnswer {
  readonly items: readonly KubeObject[];
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
}

export function parseSelection(definition: ResourceDefinition, query: URLSearchParams): Selection {
  const labelText = query.get("labelSelector") ?? "";
  const labels = parseLabelSelector(labelText);
  const fields = parseFieldSelector(query.get("fieldSelector") ?? "", definition);
  return {
    labels,
    fields,
    narrowed: labelText !== "" || !fields.empty,
    matches: (object) => labels(object.metadata.labels) && fields.matches(object),
  };
}

/** `namespace` undefined = all namespaces. */
export function listObjects(
  context: ApiContext,
  definition: ResourceDefinition,
  namespace: string | undefined,
  query: URLSearchParams,
): ListAnswer {
  const selection = parseSelection(definition, query);
  const limit = positiveInteger(query, "limit");
  const token = query.get("continue") ?? "";
  const from = token === "" ? undefined : decodeContinue(token);
  const { revision, objects, count } = context.store.list({
    resource: definition.storage,
    namespace: definition.namespaced ? namespace : undefined,
    atRevision: from?.revision ?? exactRevision(context, query, limit),
    after: from,
  });
  const items: KubeObject[] = [];
  let read = 0;
  let more = false;
  for (const object of objects) {
    if (selection.matches(object)) {
      if (limit !== undefined && items.length === limit) {
        more = true;
        break;
      }
      items.push(fromStored(definition, object));
    }
    read += 1;
  }
  const last = items.at(-1);
  return {
    items,
    metadata: {
      resourceVersion: String(revision),
      ...(more && last !== undefined
        ? {
            continue: encodeContinue(revision, last),
            ...(selection.narrowed ? {} : { remainingItemCount: count - read }),
          }
        : {}),
    },
  };
}

/** The revision a list must show, undefined for "the newest" (which is also "not older than"). */
function exactRevision(
  context: ApiContext,
  query: URLSearchParams,
  limit: number | undefined,
): number | undefined {
  const match = query.get("resourceVersionMatch");
  const text = query.get("resourceVersion") ?? "";
  if (text === "") {
    if (match !== null && match !== "" && query.get("sendInitialEvents") === null) {
      throw apiError(
        "INVALID",
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided',
      );
    }
    return undefined;
  }
  const revision = parseRevision(text);
  assertReached(context, revision);
  // A limit with a version and no match rule is the older form of Exact.
  return revision !== 0 && (match === "Exact" || (limit !== undefined && !match))
    ? revision
    : undefined;
}

export function parseRevision(text: string): number {
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw apiError(
      "BAD_REQUEST",
      `resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  }
  return Number(text);
}

/** A version of the future, e.g. from another database: 504, as the watch cache answers. */
export function assertReached(context: ApiContext, revision: number): void {
  const current = context.store.currentRevision();
  if (revision <= current) return;
  throw apiError("TIMEOUT", `Too large resource version: ${revision}, current: ${current}`, {
    details: {
      causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
      retryAfterSeconds: 1,
    },
  });
}

export function positiveInteger(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "" || text === "0") return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) {
    throw apiError("BAD_REQUEST", `${name}: strconv.ParseInt: parsing "${text}": invalid syntax`);
  }
  return value;
}

function encodeContinue(revision: number, last: KubeObject): string {
  const { namespace = "", name = "" } = last.metadata;
  return Buffer.from(
    JSON.stringify({ v: "meta.k8s.io/v1", rv: revision, start: `${namespace}/${name}` }),
  ).toString("base64url");
}

function decodeContinue(token: string): { revision: number; namespace: string; name: string } {
  try {
    const decoded = JSON.parse(Buffer.from(token, "base64url").toString()) as {
      rv: unknown;
      start: unknown;
    };
    const [namespace, name] = String(decoded.start).split("/");
    if (typeof decoded.rv !== "number" || namespace === undefined || name === undefined) {
      throw new TypeError("missing fields");
    }
    return { revision: decoded.rv, namespace, name };
  } catch (cause) {
    throw apiError("BAD_REQUEST", "continue key is not valid: encoded continue key is malformed", {
      cause,
    });
  }
}
