/** What goes with time: events after an hour, pods of a node that is gone, old revisions. */
import type { CoreV1Event, Pod } from "../../../proto/kubernetes/gen/types.ts";
import type { ApiContext } from "../context.ts";
import { deleteObject } from "../generic/delete.ts";
import type { Controller } from "./controller.ts";

// kube-apiserver's --event-ttl.
const eventTtlMs = 60 * 60 * 1000;
// kube-apiserver's etcd compaction interval.
const compactionMs = 5 * 60 * 1000;
// podgc: a node may be made anew under its name within this time.
const nodeQuarantineMs = 40_000;
const podCheckMs = 20_000;
const eventCheckMs = 60_000;

export function createExpiry(context: ApiContext): Controller {
  const nodeMissingSince = new Map<string, number>();
  let compactTo = context.store.currentRevision();
  return {
    run(signal) {
      void repeat(context, signal, eventCheckMs, () => dropOldEvents(context));
      void repeat(context, signal, podCheckMs, () => dropOrphanedPods(context, nodeMissingSince));
      void repeat(context, signal, compactionMs, () => {
        // One interval of history stays, so that a watcher may come back after a short break.
        context.store.compact(compactTo);
        compactTo = context.store.currentRevision();
      });
    },
  };
}

export function dropOldEvents(context: ApiContext): void {
  const nowMs = context.clock.nowMs();
  const definition = context.registry.stored("events");
  for (const object of context.store.list({ resource: "events" }).objects) {
    const event = object as unknown as CoreV1Event;
    const last =
      event.series?.lastObservedTime ??
      event.lastTimestamp ??
      event.eventTime ??
      object.metadata.creationTimestamp;
    if (!last || nowMs - Date.parse(last) < eventTtlMs) continue;
    const { namespace = "", name = "" } = object.metadata;
    deleteObject(context, definition, { namespace, name }, atOnce);
  }
}

export function dropOrphanedPods(context: ApiContext, missingSince: Map<string, number>): void {
  const nowMs = context.clock.nowMs();
  const missing = new Set<string>();
  for (const object of context.store.list({ resource: "pods" }).objects) {
    const nodeName = (object as unknown as Pod).spec?.nodeName;
    if (!nodeName) continue;
    if (context.store.get({ resource: "nodes", namespace: "", name: nodeName }) !== undefined) {
      continue;
    }
    missing.add(nodeName);
    if (!missingSince.has(nodeName)) missingSince.set(nodeName, nowMs);
    if (nowMs - (missingSince.get(nodeName) ?? nowMs) < nodeQuarantineMs) continue;
    const { namespace = "", name = "", uid } = object.metadata;
    context.log.info({ namespace, name, nodeName }, "deleting the pod of a node that is gone");
    deleteObject(
      context,
      context.registry.stored("pods"),
      { namespace, name },
      {
        ...atOnce,
        uid,
      },
    );
  }
  for (const name of missingSince.keys()) if (!missing.has(name)) missingSince.delete(name);
}

const atOnce = { gracePeriodSeconds: 0, propagationPolicy: "Background", dryRun: false } as const;

async function repeat(
  context: ApiContext,
  signal: AbortSignal,
  everyMs: number,
  work: () => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await context.clock.sleep(everyMs, signal);
    } catch {
      return; // The server closes.
    }
    try {
      work();
    } catch (error) {
      context.log.warn({ err: error }, "periodic clean-up failed");
    }
  }
}
