/**
 * The size of a sandbox's VM while it runs: by the rule it was booted by, within the room it was booted
 * with. The host allows more before the VM grows, and less after it has shrunk.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../common/log.ts";
import type { VmmCgroup, VmmLimits } from "../confinement/vmm-cgroup.ts";
import { shimError } from "../errors.ts";
import type { GuestClient } from "../guest-client/client.ts";
import type { RunningVm, VmShape } from "../hypervisors/hypervisor.ts";
import { assertResizable, memoryStepMib } from "../hypervisors/resize-rules.ts";
import type { ShimOptions, VmRecord } from "../shim-options.ts";
import type { SizingProfile } from "../sizing/profiles.ts";
import { type PodLimits, sizeVm } from "../sizing/vm-size.ts";
import { assertHostMemory } from "./host-memory.ts";

// A processor comes up in 0.2 s in software on a quiet machine; on a busy one everything is slow.
const useTimeoutMs = 30_000;
const pollMs = 50;

export interface SandboxSize {
  readonly record: VmRecord;
  /** Rejects with VM_SIZE or HOST_MEMORY, and nothing is changed; otherwise the record says how far it got. */
  resize(change: PodLimits): Promise<void>;
}

export interface SandboxSizeInput {
  readonly vm: Pick<RunningVm, "resize">;
  readonly guest: Pick<GuestClient, "request">;
  readonly cgroup: VmmCgroup | undefined;
  readonly profile: SizingProfile;
  /** What the VM was booted for. */
  readonly limits: PodLimits;
  /** The VMM's own memory beside the guest's. */
  readonly overheadMib: number;
  readonly record: VmRecord;
  readonly log: Logger;
  save(record: VmRecord): void;
}

/** What a VM of this size may become; undefined where it stays as it is. */
export function roomFor(
  shape: VmShape,
  { maxVcpus = 0, maxMemoryMib = 0 }: Pick<ShimOptions, "maxVcpus" | "maxMemoryMib">,
): VmShape | undefined {
  const vcpus = Math.max(shape.vcpus, maxVcpus);
  const memoryMib = grownMemoryMib(shape.memoryMib, maxMemoryMib);
  if (vcpus === shape.vcpus && memoryMib === shape.memoryMib) return undefined;
  return { vcpus, memoryMib };
}

/** The first whole step from the boot's size on that is enough. */
function grownMemoryMib(bootedMib: number, wantedMib: number): number {
  const steps = Math.max(0, Math.ceil((wantedMib - bootedMib) / memoryStepMib));
  return bootedMib + steps * memoryStepMib;
}

export function createSandboxSize(input: SandboxSizeInput): SandboxSize {
  const { vm, guest, cgroup, profile, overheadMib, log } = input;
  const booted: VmShape = input.record;
  let { record, limits } = input;
  let last = Promise.resolve();

  const note = (change: Partial<VmRecord>) => {
    record = { ...record, ...change };
    input.save(record);
  };
  const allow = (allowed: VmmLimits) => {
    if (cgroup?.isUsed !== true) return;
    cgroup.setLimits(allowed);
    note({ cgroup: { path: cgroup.path, ...cgroup.limits } });
  };
  const go = async (shape: VmShape) => {
    const { vcpus, memoryMib } = record;
    if (shape.vcpus === vcpus && shape.memoryMib === memoryMib) return;
    const before = await inUse(guest);
    await vm.resize(shape);
    // A processor that is taken back may still be in use.
    if (shape.vcpus >= vcpus) note(shape);
    const addedKib = (shape.memoryMib - memoryMib) * 1024;
    await untilInUse(guest, { vcpus: shape.vcpus, memoryKib: before.memoryKib + addedKib });
    note(shape);
  };

  const apply = async (change: PodLimits) => {
    const wanted = { ...limits, ...change };
    const size = sizeVm(profile, wanted);
    // Less than the boot's stays less, to be refused.
    const least = Math.min(booted.memoryMib, size.memoryMib);
    const target = { vcpus: size.vcpus, memoryMib: grownMemoryMib(least, size.memoryMib) };
    const spec = { ...booted, ...(record.most === undefined ? {} : { most: record.most }) };
    assertResizable(record, target, spec);
    assertHostMemory(target.memoryMib - record.memoryMib);
    const held = cgroup?.limits ?? { cpuMillis: 0, memoryMib: 0 };
    const needed = { cpuMillis: size.cpuMillis, memoryMib: target.memoryMib + overheadMib };
    allow({
      cpuMillis: Math.max(held.cpuMillis, needed.cpuMillis),
      memoryMib: Math.max(held.memoryMib, needed.memoryMib),
    });
    try {
      // One after the other, so that the record is true when the second fails.
      await go({ vcpus: record.vcpus, memoryMib: target.memoryMib });
      await go(target);
    } catch (error) {
      allow({ cpuMillis: held.cpuMillis, memoryMib: record.memoryMib + overheadMib });
      throw error;
    }
    allow(needed);
    limits = wanted;
    const rounded = target.memoryMib === size.memoryMib ? [] : [roundingLine(target.memoryMib)];
    note({ sizing: [...size.lines, ...rounded] });
    log.info(target, "the VM has another size");
  };

  return {
    get record() {
      return record;
    },
    resize(change) {
      const mine = last.then(() => apply(change));
      last = mine.catch(() => {});
      return mine;
    },
  };
}

function roundingLine(memoryMib: number): string {
  return `memory: a running VM grows in steps of ${memoryStepMib} MiB, so ${memoryMib} MiB`;
}

interface InUse {
  readonly vcpus: number;
  readonly memoryKib: number;
}

async function inUse(guest: SandboxSizeInput["guest"]): Promise<InUse> {
  const hello = await guest.request("hello");
  return { vcpus: hello.number(4) ?? 0, memoryKib: hello.number(5) ?? 0 };
}

/** Rejects with GUEST_TIMEOUT for a guest that has it all and does not use it. */
async function untilInUse(guest: SandboxSizeInput["guest"], wanted: InUse): Promise<void> {
  const deadlineMs = performance.now() + useTimeoutMs;
  for (;;) {
    const { vcpus, memoryKib } = await inUse(guest);
    if (vcpus === wanted.vcpus && memoryKib >= wanted.memoryKib) return;
    if (performance.now() > deadlineMs) {
      const has = `${vcpus} vCPUs and ${memoryKib} KiB`;
      const words = `the guest runs on ${has}, not on ${wanted.vcpus} and ${wanted.memoryKib} KiB`;
      throw shimError("GUEST_TIMEOUT", words);
    }
    await sleep(pollMs);
  }
}
