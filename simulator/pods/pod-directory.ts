/** The kubelet endpoints' view of the agent's pods; files are looked at when asked. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { omitUndefined } from "../../common/omit-undefined.ts";
import type { PodContainer, PodDirectory, PodEntry } from "../node-api/pod-directory.ts";
import type { ContainerView } from "./pod-containers.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { containerLogFolder } from "./pod-files.ts";
import type { PodRecord } from "./pod-record.ts";
import { statusOfRecord } from "./status-report.ts";

export function createPodDirectory(
  records: () => Iterable<PodRecord>,
  deps: PodDependencies,
): PodDirectory {
  const entry = (record: PodRecord): PodEntry => {
    const { namespace, name, uid } = record.pod.metadata;
    // A finished pod's views are empty after a restart: its last status is in the API.
    const status = record.ended ? (record.pod.status ?? {}) : statusOfRecord(record, deps);
    return omitUndefined({
      namespace,
      name,
      uid,
      sandboxId: record.sandbox?.id,
      containers: record.views.map((view) => containerEntry(record, view, deps)),
      object: { apiVersion: "v1", kind: "Pod", ...record.pod, status },
    });
  };
  return {
    find(namespace, name) {
      for (const record of newestFirst(records())) {
        const { metadata } = record.pod;
        if (metadata.namespace === namespace && metadata.name === name) return entry(record);
      }
      return undefined;
    },
    list: () => newestFirst(records()).map(entry),
  };
}

/** A pod that is just going may share its name with its successor, which is the one meant. */
function newestFirst(records: Iterable<PodRecord>): PodRecord[] {
  return [...records].reverse();
}

function containerEntry(
  record: PodRecord,
  view: ContainerView,
  deps: PodDependencies,
): PodContainer {
  const { name } = view.spec;
  const logPaths = logFiles(containerLogFolder(deps.paths, record.pod, name));
  const running = view.current?.state === "running";
  const neverRan = view.current === undefined && view.newestEnd === undefined;
  return omitUndefined({
    name,
    containerId: view.current?.id,
    logPaths,
    running,
    previousLogPath: logPaths.at(-2),
    waitingReason: running
      ? undefined
      : (record.waiting.get(name)?.reason ??
        (neverRan && logPaths.length === 0 ? "ContainerCreating" : undefined)),
    startedAtMs: view.current?.startedAtMs,
  });
}

/** `<attempt>.log`, oldest first. */
function logFiles(folder: string): readonly string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((name) => /^\d+\.log$/.test(name))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
    .map((name) => join(folder, name));
}
