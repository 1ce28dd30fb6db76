/**
 * A pod's turn to start its sandbox: so many start at a time, first come first served, and none before this
 * machine has the memory for it. VMs and sandboxes on the machine's kernel stand in lines of their own: a
 * container need not wait behind a wall of VMs. Who waits noticeably is told why.
 */
import { availableParallelism } from "node:os";
import type { Clock } from "../../common/clock.ts";
import {
  createFairGate,
  type FairGate,
  type GateState,
  type Waiter,
} from "../../common/fair-gate.ts";
import { firstTakeMib, podLimitsFromAmounts, sizeVm } from "../../runtime-shim/index.ts";
import { podReference } from "../events/references.ts";
import type { HandlerStatus } from "../runtime-port.ts";
import { podLimits, podRequests } from "../sizing/pod-resources.ts";
import type { MemoryNeed, MemoryShortage } from "./host-memory.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import type { PodRecord } from "./pod-record.ts";
import { report } from "./status-report.ts";

export interface StartGates {
  readonly sandboxed: FairGate;
  readonly trusted: FairGate;
}

export interface StartFacts {
  readonly sandboxed: GateState;
  readonly trusted: GateState;
}

/** Measured on 2 cores in software: 4 at a time are through soonest, for a start also waits for disks. */
const startsPerCore = 2;
// Below this a wait is no news.
const noticeMs = 2_000;
const repeatMs = 10_000;

export function createStartGates(
  clock: Clock,
  places = startsPerCore * availableParallelism(),
): StartGates {
  return { sandboxed: createFairGate(places, clock), trusted: createFairGate(places, clock) };
}

/** Rejects when the pod is deleted meanwhile. The place, and the memory with it, is held until `leave`. */
export async function takeStartPlace(
  record: PodRecord,
  handlerName: string,
  deps: PodDependencies,
): Promise<{ leave(): void } | { readonly shortage: MemoryShortage }> {
  const handler = deps.handler(handlerName);
  const { signal } = record.interrupt;
  const gate = handler?.sandboxed ? deps.starts.sandboxed : deps.starts.trusted;
  const place = await tellingWhy(record, gate.enter(signal), gate, deps);
  try {
    const need = memoryNeed(record, handler);
    const shortage = need && (await deps.memory.promise(record.uid, need, signal));
    signal.throwIfAborted();
    if (shortage !== undefined) {
      place.leave();
      return { shortage };
    }
    record.timeline.reach("start slot");
    return {
      leave() {
        deps.memory.release(record.uid);
        place.leave();
      },
    };
  } catch (error) {
    deps.memory.release(record.uid);
    place.leave();
    throw error;
  }
}

async function tellingWhy(
  record: PodRecord,
  waiter: Waiter,
  gate: FairGate,
  deps: PodDependencies,
): Promise<{ leave(): void }> {
  const entered = new AbortController();
  const told = tellWhileWaiting(record, waiter, gate, deps, entered.signal);
  try {
    return await waiter.entered;
  } finally {
    entered.abort();
    // The worker reports next: never two at once.
    await told;
    for (const { spec } of record.views) record.waiting.delete(spec.name);
  }
}

async function tellWhileWaiting(
  record: PodRecord,
  waiter: Waiter,
  gate: FairGate,
  deps: PodDependencies,
  entered: AbortSignal,
): Promise<void> {
  for (let delayMs = noticeMs; ; delayMs = repeatMs) {
    await deps.clock.sleep(delayMs, entered).catch(() => {});
    if (entered.aborted || record.interrupt.signal.aborted) return;
    const message = waitText(gate.state().inside, waiter.before());
    if (delayMs === noticeMs) {
      const about = podReference(record.pod);
      deps.events.record(about, { type: "Normal", reason: "WaitingForStart", message });
    }
    const hasInit = record.views.some(({ kind }) => kind === "init");
    for (const { kind, spec } of record.views) {
      const reason = hasInit && kind === "app" ? "PodInitializing" : "ContainerCreating";
      record.waiting.set(spec.name, { reason, message });
    }
    await report(record, deps, { observeFirst: false }).catch((error: unknown) =>
      deps.log.debug({ pod: record.pod.metadata.name, err: error }, "wait not told"),
    );
  }
}

function waitText(starting: number, before: number): string {
  const sandboxes = starting === 1 ? "1 sandbox is" : `${starting} sandboxes are`;
  const pods = before === 1 ? "1 pod" : `${before} pods`;
  return `waiting for a start slot: ${sandboxes} starting, ${pods} before this one`;
}

/** Undefined for what is no VM of a known size. */
function memoryNeed(
  { pod }: PodRecord,
  handler: HandlerStatus | undefined,
): MemoryNeed | undefined {
  if (!handler?.sandboxed || handler.sizing === undefined) return undefined;
  const { cpuMillis, memoryBytes } = podLimits(pod.spec);
  try {
    const { memoryMib } = sizeVm(handler.sizing, podLimitsFromAmounts(cpuMillis, memoryBytes));
    const requestedMib = Math.ceil((podRequests(pod.spec).memoryBytes ?? 0) / 2 ** 20);
    const firstMib = Math.min(memoryMib, firstTakeMib(memoryMib) + requestedMib);
    return { wholeMib: memoryMib, firstMib };
  } catch {
    // Too small for the profile: the shim refuses it in Kata's words.
    return undefined;
  }
}
