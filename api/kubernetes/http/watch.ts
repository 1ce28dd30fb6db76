/**
 * Serves a watch: one JSON event a line, until the client, the timeout or the server ends it.
 * Source: apiserver pkg/endpoints/handlers/watch.go; WatchList: KEP-3157.
 */
import type { ServerResponse } from "node:http";
import { isSimError } from "../../../common/errors.ts";
import { apiError } from "../../errors.ts";
import type { StoreEvent } from "../../store/store.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import { fromStored } from "../generic/keys.ts";
import {
  assertReached,
  parseRevision,
  parseSelection,
  positiveInteger,
  type Selection,
} from "../generic/list.ts";
import { apiVersionOf, type KubeObject } from "../object.ts";
import type { HandlerContext, KubeAnswer, KubeRequest } from "./exchange.ts";
import { type Negotiated, negotiate } from "./negotiation.ts";
import { statusFromError } from "./status.ts";
import { bookmarkTable, includeObjectOf, listMetaOf, partialMetadata, tableOf } from "./tables.ts";

// kube-apiserver's --min-request-timeout; the real time is drawn between it and twice as much, so
// that clients do not all come back at once.
const minTimeoutSeconds = 1800;
const bookmarkIntervalMs = 60_000;
// A client that does not read is cut off before it holds this much of our memory.
const maxBufferedBytes = 16 * 1024 * 1024;

type EventType = "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";

export interface WatchScope {
  readonly definition: ResourceDefinition;
  /** undefined = all namespaces. */
  readonly namespace: string | undefined;
}

export function serveWatch(
  context: HandlerContext,
  scope: WatchScope,
  request: KubeRequest,
): KubeAnswer {
  const { definition, namespace } = scope;
  const { query } = request;
  const selection = parseSelection(definition, query);
  const negotiated = negotiate(request.headers.accept);
  const wantsBookmarks = query.get("allowWatchBookmarks") === "true";
  const initial = initialState(context, query);
  const encode = createEncoder(context, definition, request, negotiated);

  return {
    type: "stream",
    run(response) {
      const send = (type: EventType, object: KubeObject) => {
        // Between its end and its close a timer or a store event may still come by.
        if (response.writableEnded || response.destroyed) return;
        response.write(encode(type, object));
        if (response.writableLength > maxBufferedBytes) response.destroy();
      };
      const bookmark = (annotations?: Record<string, string>) =>
        send("BOOKMARK", bookmarkObject(definition, context.store.currentRevision(), annotations));
      const pass = (event: StoreEvent) => {
        if (event.key.resource !== definition.storage) return;
        if (definition.namespaced && namespace !== undefined && event.key.namespace !== namespace) {
          return;
        }
        const seen = changeSeenBy(selection, event);
        if (seen !== undefined) send(seen, fromStored(definition, event.object));
      };

      response.writeHead(200, {
        "content-type": negotiated.encoding === "yaml" ? "application/yaml" : "application/json",
        "cache-control": "no-cache, private",
      });
      response.flushHeaders();
      // Past, present and future are read in one synchronous step: nothing falls in between.
      try {
        if (initial.from === "state") {
          const { objects } = context.store.list({
            resource: definition.storage,
            namespace: definition.namespaced ? namespace : undefined,
          });
          for (const object of objects) {
            if (selection.matches(object)) send("ADDED", fromStored(definition, object));
          }
          if (initial.marksEnd && wantsBookmarks) bookmark({ "k8s.io/initial-events-end": "true" });
        } else {
          for (const event of context.store.eventsSince(definition.storage, initial.revision)) {
            pass(event);
          }
        }
      } catch (error) {
        if (!isSimError(error)) throw error;
        // Headers are out, so even an expired version is told as an event.
        send("ERROR", statusFromError(error));
        response.end();
        return;
      }
      keepOpen(context, response, {
        listen: () => context.store.onEvent(pass),
        bookmark: wantsBookmarks ? bookmark : undefined,
        timeoutMs: timeoutMs(query),
      });
    },
  };
}

function keepOpen(
  context: HandlerContext,
  response: ServerResponse,
  watch: {
    listen(): () => void;
    readonly bookmark: (() => void) | undefined;
    readonly timeoutMs: number;
  },
): void {
  const stopListening = watch.listen();
  const bookmarks = setInterval(() => watch.bookmark?.(), bookmarkIntervalMs);
  const end = () => {
    watch.bookmark?.();
    response.end();
  };
  const timeout = setTimeout(end, watch.timeoutMs);
  const forget = context.onClose(() => response.end());
  response.once("close", () => {
    stopListening();
    clearInterval(bookmarks);
    clearTimeout(timeout);
    forget();
  });
}

type InitialState =
  | { readonly from: "state"; readonly marksEnd: boolean }
  | { readonly from: "revision"; readonly revision: number };

function initialState(context: HandlerContext, query: URLSearchParams): InitialState {
  const text = query.get("resourceVersion") ?? "";
  const revision = text === "" ? 0 : parseRevision(text);
  assertReached(context, revision);
  const sendInitialEvents = query.get("sendInitialEvents");
  if (sendInitialEvents === "true") {
    if (query.get("resourceVersionMatch") !== "NotOlderThan") {
      throw apiError(
        "INVALID",
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
      );
    }
    return { from: "state", marksEnd: true };
  }
  if (revision === 0 && sendInitialEvents !== "false") return { from: "state", marksEnd: false };
  return {
    from: "revision",
    revision: revision === 0 ? context.store.currentRevision() : revision,
  };
}

/** What a change looks like through the selectors: objects enter and leave the selection. */
function changeSeenBy(selection: Selection, event: StoreEvent): EventType | undefined {
  const before = event.previous !== undefined && selection.matches(event.previous);
  const now = event.type !== "DELETED" && selection.matches(event.object);
  if (now) return before ? "MODIFIED" : "ADDED";
  return before ? "DELETED" : undefined;
}

function createEncoder(
  context: HandlerContext,
  definition: ResourceDefinition,
  request: KubeRequest,
  negotiated: Negotiated,
): (type: EventType, object: KubeObject) => string {
  let first = true;
  const includeObject = includeObjectOf(request.query);
  const shape = (type: EventType, object: KubeObject): KubeObject => {
    if (type === "ERROR" || negotiated.as === "object") return object;
    if (negotiated.as === "PartialObjectMetadata") {
      return partialMetadata(object, negotiated.version);
    }
    const options = {
      version: negotiated.version,
      includeObject,
      nowMs: context.clock.nowMs(),
      withColumns: first,
    };
    if (type === "BOOKMARK") return bookmarkTable(definition, object, options);
    first = false;
    return tableOf(definition, [object], listMetaOf(object), options);
  };
  return (type, object) => `${JSON.stringify({ type, object: shape(type, object) })}\n`;
}

function bookmarkObject(
  definition: ResourceDefinition,
  revision: number,
  annotations?: Record<string, string>,
): KubeObject {
  return {
    kind: definition.kind,
    apiVersion: apiVersionOf(definition),
    metadata: {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(annotations === undefined ? {} : { annotations }),
    },
  };
}

function timeoutMs(query: URLSearchParams): number {
  const asked = positiveInteger(query, "timeoutSeconds");
  return (asked ?? minTimeoutSeconds * (1 + Math.random())) * 1000;
}
