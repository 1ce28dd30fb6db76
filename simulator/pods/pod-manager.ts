/**
 * The pods of this node: what the API says of them comes in, each gets a worker's attention, and what
 * the runtime has without a pod is taken away. No work happens in the event handlers.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isSimError, messageOf } from "../../common/errors.ts";
import { createWorkQueue } from "../../common/work-queue.ts";
import type { WatchEvent } from "../cluster-port.ts";
import type { PodObject } from "../objects.ts";
import type { RuntimeEvent } from "../runtime-port.ts";
import { removePodFolder } from "../volumes/index.ts";
import { podFacts } from "./container-config.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { stopPod } from "./pod-ending.ts";
import { createPodRecord, type PodRecord } from "./pod-record.ts";
import { isLeaving, syncPod } from "./pod-worker.ts";
import { removeSandboxes } from "./sandbox-step.ts";
import { createVolumeWatch } from "./volume-watch.ts";

export interface PodManager {
  readonly records: ReadonlyMap<string, PodRecord>;
  onPodEvent(event: WatchEvent<PodObject>): void;
  onRuntimeEvent(event: RuntimeEvent): void;
  /** Looks at every pod again and brings its volumes up to date. */
  resync(): Promise<void>;
  /** Ends steps under way; pods go on. Resolves when no worker runs. */
  close(): Promise<void>;
  /** For `down`, after `close`: every pod ends, and nothing of it is left but its folder and logs. */
  stopAllPods(graceMs: number): Promise<void>;
  /** Resolves when no worker has anything to do now. */
  idle(): Promise<void>;
}

// The kubelet's back-off after a failed sync; a pod that is leaving is waited for by someone.
const failedSyncMs = 10_000;
const failedTerminationMs = 2_000;

export function createPodManager(deps: PodDependencies): PodManager {
  const { log, clock, runtime } = deps;
  const records = new Map<string, PodRecord>();
  const stopping = new AbortController();
  const objects = createVolumeWatch({
    cluster: deps.cluster,
    log,
    changed(uid) {
      const record = records.get(uid);
      if (record === undefined) return;
      record.volumesStale = true;
      queue.add(uid);
    },
  });

  const queue = createWorkQueue({
    clock,
    async process(uid) {
      const record = records.get(uid);
      if (record === undefined || stopping.signal.aborted) return undefined;
      if (!record.ended && !isLeaving(record)) objects.follow(record.pod);
      const again = await syncPod(record, deps, stopping.signal);
      await saveTimeline(record);
      await refreshVolumes(record);
      if (record.ended || isLeaving(record)) objects.forget(uid);
      if (record.gone && record.cleaned) records.delete(uid);
      return again;
    },
    onError(uid, error) {
      const record = records.get(uid);
      if (stopping.signal.aborted) return failedSyncMs;
      const details = isSimError(error) ? { code: error.code } : { stack: (error as Error)?.stack };
      log.warn(
        { pod: record?.pod.metadata.name, error: messageOf(error), ...details },
        "sync failed",
      );
      return record !== undefined && isLeaving(record) ? failedTerminationMs : failedSyncMs;
    },
  });

  /** Between the steps of its pod, so that nothing else works on the same folder. */
  const refreshVolumes = async (record: PodRecord) => {
    if (!record.volumesStale || record.ended || isLeaving(record)) return;
    if (record.sandbox?.state !== "ready") return;
    record.volumesStale = false;
    await deps.volumes
      .refresh(record.pod, podFacts(deps, record.sandbox.ip))
      .catch((error: unknown) =>
        log.warn({ pod: record.pod.metadata.name, error: messageOf(error) }, "volumes are stale"),
      );
  };

  const saveTimeline = async ({ uid, pod, timeline, sandbox, ...record }: PodRecord) => {
    if (sandbox === undefined || record.ended || record.cleaned) return;
    await timeline
      .save(deps.paths, uid, sandbox.id)
      .catch((error: unknown) =>
        log.warn({ pod: pod.metadata.name, error: messageOf(error) }, "timeline not written"),
      );
  };

  const accept = (pod: PodObject) => {
    const { uid } = pod.metadata;
    const record = records.get(uid);
    if (record === undefined) {
      records.set(uid, createPodRecord(pod, clock.nowMs()));
      queue.add(uid);
      return;
    }
    const age = compareVersions(pod, record.pod);
    // Older than what a write of ours brought back, or that write itself (which may have been the
    // first to bring word of the deletion).
    const unheard = isLeaving(record) && !record.interrupt.signal.aborted;
    if (age < 0 || (age === 0 && !unheard)) return;
    const before = record.pod;
    record.pod = pod;
    if (showsOtherFields(before, pod)) record.volumesStale = true;
    if (pod.metadata.deletionTimestamp !== undefined) {
      record.interrupt.abort();
      if (shortened(before, pod)) record.hurry.abort();
    }
    queue.add(uid);
  };

  const vanish = (uid: string) => {
    const record = records.get(uid);
    if (record === undefined) return;
    record.gone = true;
    if (record.cleaned) {
      records.delete(uid);
      queue.forget(uid);
      return;
    }
    record.interrupt.abort();
    record.hurry.abort();
    queue.add(uid);
  };

  /** The API knows no such pod: it was deleted while nobody looked. */
  const sweep = async () => {
    const dangling = (await runtime.listSandboxes()).filter(({ podUid }) => !records.has(podUid));
    if (dangling.length > 0) {
      log.info({ sandboxes: dangling.map(({ id }) => id) }, "removing sandboxes without a pod");
      await removeSandboxes(dangling, deps);
    }
    for (const uid of await readdir(deps.paths.pods).catch(() => [] as string[])) {
      if (!records.has(uid)) await removePodFolder(join(deps.paths.pods, uid));
    }
  };

  return {
    records,
    idle: () => queue.idle(),
    onPodEvent(event) {
      if (event.type === "DELETED") {
        vanish(event.object.metadata.uid);
      } else if (event.type !== "SYNC") {
        accept(event.object);
      } else {
        const present = new Set(event.items.map(({ metadata }) => metadata.uid));
        for (const pod of event.items) accept(pod);
        for (const uid of [...records.keys()]) if (!present.has(uid)) vanish(uid);
        sweep().catch((error: unknown) => log.warn({ error: messageOf(error) }, "sweep failed"));
      }
    },
    onRuntimeEvent({ sandboxId }) {
      for (const [uid, record] of records) {
        if (record.sandbox?.id === sandboxId) queue.add(uid);
      }
    },
    async resync() {
      for (const [uid, record] of records) {
        record.volumesStale = true;
        queue.add(uid);
      }
    },
    async close() {
      stopping.abort(new Error("the node agent stops"));
      objects.close();
      for (const record of records.values()) record.interrupt.abort(stopping.signal.reason);
      await queue.close();
    },
    async stopAllPods(graceMs) {
      await Promise.all([...records.values()].map((record) => stopPod(record, deps, graceMs)));
    },
  };
}

function shortened(before: PodObject, after: PodObject): boolean {
  const old = before.metadata.deletionGracePeriodSeconds;
  const now = after.metadata.deletionGracePeriodSeconds;
  return old !== undefined && now !== undefined && now < old;
}

/** What a downwardAPI volume shows of a pod that runs. */
function showsOtherFields(before: PodObject, after: PodObject): boolean {
  const shown = ({ metadata }: PodObject) =>
    JSON.stringify([metadata.labels, metadata.annotations]);
  return shown(before) !== shown(after);
}

/** Negative when `a` is older. Versions are numbers on every server there is (KEP-5504). */
function compareVersions(a: PodObject, b: PodObject): number {
  const version = (pod: PodObject) => Number(pod.metadata.resourceVersion ?? Number.NaN);
  const difference = version(a) - version(b);
  return Number.isNaN(difference) ? 1 : difference;
}
