/**
 * The sandboxes of an instance, read-only: the node's records, what shims left in their bundles, and /proc.
 * Needs no daemon, so it tells the truth after a crash, too.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Paths } from "../common/paths.ts";
import { identityOf } from "../common/process/process-identity.ts";
import { mergeTimelines, type TimedStep } from "../common/timeline.ts";
import { readExitReason, readVmRecord, type VmRecord } from "../runtime-shim/index.ts";
import { readPodTimeline } from "../simulator/pods/pod-timeline.ts";
import {
  builtinHandlers,
  openRuntimeRecords,
  type SandboxRecord,
  sandboxLayout,
} from "../simulator/runtime/index.ts";
import { type MemoryMeasure, memoryOf, processTree, sumMemory } from "./daemon/process-memory.ts";
import { cliError } from "./errors.ts";

export interface SandboxView {
  readonly id: string;
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly handler: string;
  readonly sandboxed: boolean;
  /** As recorded, but "notready" when its shim or VMM has gone since. */
  readonly state: "creating" | "ready" | "notready";
  readonly reason: string | undefined;
  readonly ip: string | undefined;
  readonly createdAtMs: number;
  readonly bundle: string;
  readonly shimPid: number | undefined;
  readonly memory: SandboxMemory;
  readonly shimLog: string | undefined;
  readonly consoleLog: string | undefined;
  readonly vm: VmRecord | undefined;
  /** Genuine Kata runs it: what was known before its start. */
  readonly kata: SandboxRecord["kata"];
  /** Its VMM, as Kata's shim tells. */
  readonly kataVmmPid: number | undefined;
  /** How its start went: what the agent, the runtime and the shim wrote down, in one row. */
  readonly timeline: readonly TimedStep[];
}

/** What a sandbox takes of this machine, guest included. */
export interface SandboxMemory {
  readonly vmmBytes: number;
  readonly shimBytes: number;
  /** Whatever else its shim started: virtiofsd, the containers on this machine's kernel. */
  readonly otherBytes: number;
  readonly totalBytes: number;
  readonly measure: MemoryMeasure;
}

/** Newest last; empty when the instance was never started. */
export async function listSandboxes(paths: Paths): Promise<readonly SandboxView[]> {
  if (!existsSync(paths.database)) return [];
  let records: ReturnType<typeof openRuntimeRecords> | undefined;
  try {
    records = openRuntimeRecords(paths.database);
    const below = processTree();
    return records.sandboxes().map((record) => viewOf(paths, record, below));
  } catch (error) {
    throw cliError("DATABASE_CORRUPT", `cannot read ${paths.database}`, {
      cause: error,
      hint: "katasim down --delete forgets the cluster and starts afresh",
    });
  } finally {
    records?.close();
  }
}

/** By id, a unique beginning of it, `namespace/pod` or `pod`. Throws NOT_FOUND or USAGE. */
export async function findSandbox(paths: Paths, wanted: string): Promise<SandboxView> {
  return pickSandbox(await listSandboxes(paths), wanted);
}

export function pickSandbox(all: readonly SandboxView[], wanted: string): SandboxView {
  const byPod = all.filter(
    ({ namespace, pod }) => pod === wanted || `${namespace}/${pod}` === wanted,
  );
  const matches =
    byPod.length > 0 ? byPod : all.filter(({ id }) => wanted !== "" && id.startsWith(wanted));
  // A restarted pod has an old sandbox beside the new one: people mean the new one.
  const uids = new Set(matches.map(({ podUid }) => podUid));
  const found = matches.at(-1);
  if (found === undefined) {
    throw cliError("NOT_FOUND", `there is no sandbox "${wanted}"`, {
      hint: "katasim sandbox list",
    });
  }
  if (uids.size > 1) {
    const names = matches.map(
      ({ id, namespace, pod }) => `${id.slice(0, 12)} (${namespace}/${pod})`,
    );
    throw cliError("USAGE", `"${wanted}" could be ${names.join(" or ")}`, {
      hint: "give more of the id, or NAMESPACE/POD",
    });
  }
  return found;
}

function viewOf(
  paths: Paths,
  record: SandboxRecord,
  below: ReturnType<typeof processTree>,
): SandboxView {
  const { folder, bundle } = sandboxLayout(paths, record.id);
  const vm = readVmRecord(bundle);
  const handler = builtinHandlers.find(({ name }) => name === record.handler);
  const kataVmmPid = record.kata === undefined ? undefined : record.taskPid;
  const vmmPid = vm?.vmmPid ?? kataVmmPid;
  const shimPid = record.shimPid ?? vm?.shimPid;
  const lost = whoDied(record, vmmPid);
  const file = (path: string) => (existsSync(path) ? path : undefined);
  return {
    id: record.id,
    namespace: record.spec.podNamespace,
    pod: record.spec.podName,
    podUid: record.spec.podUid,
    handler: record.handler,
    sandboxed: handler?.sandboxed ?? vm !== undefined,
    state: record.state === "ready" && lost !== undefined ? "notready" : record.state,
    reason: record.reason ?? readExitReason(bundle)?.reason ?? lost,
    ip: record.ip,
    createdAtMs: record.createdAtMs,
    bundle,
    shimPid,
    memory: memoryOfSandbox(vmmPid, shimPid, below),
    shimLog: file(join(bundle, "shim.log")) ?? file(join(folder, "shim.log")),
    consoleLog: vm === undefined ? undefined : file(vm.consoleLog),
    vm,
    kata: record.kata,
    kataVmmPid,
    timeline: mergeTimelines(
      readPodTimeline(paths, record.spec.podUid, record.id),
      record.timeline ?? [],
      vm?.timeline ?? [],
    ),
  };
}

function memoryOfSandbox(
  vmmPid: number | undefined,
  shimPid: number | undefined,
  below: ReturnType<typeof processTree>,
): SandboxMemory {
  const vmm = sumMemory(vmmPid === undefined ? [] : [memoryOf(vmmPid)]);
  const shim = sumMemory(shimPid === undefined ? [] : [memoryOf(shimPid)]);
  const helpers = shimPid === undefined ? [] : below(shimPid).filter((pid) => pid !== vmmPid);
  const other = sumMemory(helpers.map(memoryOf));
  const total = sumMemory([vmm, shim, other]);
  return {
    vmmBytes: vmm.bytes,
    shimBytes: shim.bytes,
    otherBytes: other.bytes,
    totalBytes: total.bytes,
    measure: total.measure,
  };
}

/** All of them together. */
export function totalMemory(sandboxes: ReadonlyArray<Pick<SandboxView, "memory">>): SandboxMemory {
  const sum = (part: "vmmBytes" | "shimBytes" | "otherBytes" | "totalBytes") =>
    sandboxes.reduce((bytes, { memory }) => bytes + memory[part], 0);
  return {
    vmmBytes: sum("vmmBytes"),
    shimBytes: sum("shimBytes"),
    otherBytes: sum("otherBytes"),
    totalBytes: sum("totalBytes"),
    measure: sandboxes.some(({ memory }) => memory.measure === "rss") ? "rss" : "pss",
  };
}

function whoDied(record: SandboxRecord, vmmPid: number | undefined): string | undefined {
  if (record.state !== "ready") return undefined;
  const gone = (pid: number | undefined) => pid !== undefined && identityOf(pid) === undefined;
  if (gone(vmmPid)) return `its virtual machine monitor (pid ${vmmPid}) has gone`;
  if (gone(record.shimPid)) return `its shim (pid ${record.shimPid}) has gone`;
  return undefined;
}
