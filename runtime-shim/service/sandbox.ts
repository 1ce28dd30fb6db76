/**
 * A sandbox: one VM, its guest, its tap and sockets. Made once by `bootSandbox`; `stop` may be called
 * from anywhere and any number of times and leaves nothing outside the bundle.
 */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { stepNow, type TimelineStep } from "../../common/timeline.ts";
import {
  createVmmCgroup,
  removeVmmCgroup,
  type VmmCgroup,
  type VmmLimits,
  vmmCgroupPath,
} from "../confinement/vmm-cgroup.ts";
import { makeSocketFolder } from "../confinement/vmm-place.ts";
import { createRootfsCache, type RootfsCache } from "../disks/rootfs-cache.ts";
import type { GuestClient, GuestListener } from "../guest-client/client.ts";
import { type DialServer, startDialServer } from "../guest-client/dial-server.ts";
import type { RunningVm, VmShape, VmSpec } from "../hypervisors/hypervisor.ts";
import type { HypervisorChoice } from "../hypervisors/registry.ts";
import type { PodListeners } from "../network/pod-listeners.ts";
import type { ShimOptions, VmRecord } from "../shim-options.ts";
import type { PodLimits, VmSize } from "../sizing/vm-size.ts";
import { createSandboxVolumes, type SandboxVolumes } from "../volumes/sandbox-volumes.ts";
import { wantsSharedFolders } from "../volumes/volume-annotations.ts";
import { identifyGuest } from "./boot-guest.ts";
import { workFolder, writeVmRecord } from "./bundle-files.ts";
import { clockIntervalMs, keepGuestClock } from "./guest-clock.ts";
import { assertRoomForPlan, machineOf, placeFor, planVm, userPaths } from "./plan-vm.ts";
import { type PreparedVm, prepareVm } from "./prepare-vm.ts";
import type { SandboxDisks } from "./sandbox-disks.ts";
import {
  createNetworkJoin,
  type GuestNic,
  listenInNamespace,
  planNetwork,
  spareNic,
} from "./sandbox-network.ts";
import { createSandboxSize, type SandboxSize } from "./sandbox-size.ts";
import type { SpareVm } from "./spare-vm.ts";
import {
  consoleLogFile,
  type ShimState,
  sharedFolderName,
  socketPaths,
  vmmPidFile,
  writableDiskFile,
  writeShimState,
} from "./state-file.ts";

export interface Sandbox extends SandboxDisks {
  readonly guest: GuestClient;
  readonly vmmPid: number;
  /** As it is now. */
  readonly record: VmRecord;
  /** Where its containers' root file systems are packed. */
  readonly roots: RootfsCache;
  /** What its containers bind. */
  readonly volumes: SandboxVolumes;
  /** Gives the VM the size for other limits; those that are not named stay. */
  resize: SandboxSize["resize"];
  /** Resolves when the VM is gone. `reason` is absent when `stop` ended it. */
  readonly ended: Promise<{ readonly reason?: string }>;
  stop(how?: "kill" | "shutdown"): Promise<void>;
}

export interface SandboxInput {
  readonly state: ShimState;
  readonly options: ShimOptions;
  readonly limits: PodLimits;
  readonly hostname: string;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly sharedMemoryBytes: number | undefined;
  readonly netnsPath: string | undefined;
  /** What its guest's address is to be on a user-mode network. */
  readonly address: string | undefined;
  /** Of the sandbox's spec. */
  readonly annotations: Readonly<Record<string, string>>;
  /** `linux.cgroupsPath` of the sandbox's spec. */
  readonly cgroupsPath: string | undefined;
  readonly listener: GuestListener;
  /** One that was made before the sandbox was known. */
  readonly spareVm: SpareVm | undefined;
  readonly log: Logger;
  readonly signal?: AbortSignal;
}

/** Rejects with the reason in words; nothing is left behind then. */
export async function bootSandbox(input: SandboxInput): Promise<Sandbox> {
  const { state, options, log } = input;
  const plan = await planVm(input, log);
  assertRoomForPlan(plan);
  const { profile, size, most, files, choice, overheadMib } = plan;
  const sockets = socketPaths(state.socketPrefix);
  const sharedMemory = wantsSharedFolders(input.annotations, options.sharedFolders);
  const undo: Array<() => Promise<void>> = [];
  const timeline: TimelineStep[] = [stepNow("shim asked")];
  try {
    const cgroup = confine(input, { ...size, memoryMib: size.memoryMib + overheadMib }, undo);
    const place = placeFor(state.groupId, plan, options, log);
    // Not the task socket: the shim lives on.
    undo.unshift(async () => rmSync(sockets.vmmFolder, { recursive: true, force: true }));
    makeSocketFolder(sockets.vmmFolder, place);
    const planned = planNetwork(input);
    planned.catch(() => {});
    const network = createNetworkJoin(input, planned, cgroup);
    undo.unshift(network.leave);
    void input.spareVm?.running.then(network.join);
    let listeners: PodListeners | undefined;
    const listener: GuestListener = {
      ...input.listener,
      listening: (ports) => listeners?.update(ports),
    };
    const machine: VmSpec = {
      ...machineOf(plan, place),
      id: state.groupId,
      sharedMemory,
      ...(cgroup === undefined ? {} : { cgroup }),
      agentSocket: sockets.agent,
      controlSocket: sockets.control,
      consoleLog: join(state.bundle, consoleLogFile),
      pidFile: join(state.bundle, vmmPidFile),
      onRunning: network.join,
    };
    const prepared =
      (await takeSpare(input, { ...machine, nic: spareNic }, listener, undo)) ??
      (await prepareVm({
        spec: { ...machine, ...nicOf(await planned) },
        ...{ choice, files, listener, options, log, signal: input.signal },
        firstDisk: join(workFolder(state.bundle), writableDiskFile),
        templateSocketFolder: sockets.template,
      }));
    const { vm, guest } = prepared;
    undo.unshift(vm.stop);
    const podNetwork = network.join(vm.pid);
    const bootId = await identifyGuest(
      vm,
      guest,
      {
        ...input,
        machineId: machineIdOf(state.groupId),
        network: podNetwork.then((joined) => joined?.pod),
        identified: () => timeline.push(stepNow("identity done")),
      },
      { options, signal: input.signal },
    );
    timeline.unshift(...prepared.timeline);
    timeline.push(stepNow("network up"));
    const intervalMs = Math.min(clockIntervalMs, options.guestTimeoutSeconds * 1000);
    keepGuestClock(guest, { log, intervalMs });
    const dial = await startDialServer(sockets.dial, guest);
    undo.unshift(() => dial.close());
    if ((await planned)?.nic.kind === "tap") {
      listeners = listenInNamespace(input, guest);
      undo.unshift(listeners.close);
      await guest.request("listeners");
    }
    const volumes = createSandboxVolumes({
      ...{ vm, guest, annotations: input.annotations, sharedMemory, cgroup, log },
      ...{ folder: join(state.bundle, sharedFolderName), socket: sockets.folder },
    });
    undo.unshift(() => volumes.close());
    const record = vmRecord(prepared, { bootId, timeline }, choice, size, input, { cgroup, most });
    writeVmRecord(state.bundle, record);
    const sandboxSize = createSandboxSize({
      ...{ vm, guest, cgroup, profile, overheadMib, record, log },
      limits: input.limits,
      save: (changed) => writeVmRecord(state.bundle, changed),
    });
    log.info({ record }, "sandbox booted");
    const roots = createRootfsCache({
      folder: options.rootfsCacheDir ?? userPaths().rootfs,
      maxBytes: options.rootfsCacheMib * 2 ** 20,
    });
    return createSandbox(
      vm,
      guest,
      sandboxSize,
      roots,
      volumes,
      cgroup,
      undo,
      dial,
      prepared.disks,
    );
  } catch (error) {
    for (const step of undo) await step().catch(() => {});
    throw error;
  }
}

function createSandbox(
  vm: RunningVm,
  guest: GuestClient,
  size: SandboxSize,
  roots: RootfsCache,
  volumes: SandboxVolumes,
  cgroup: VmmCgroup | undefined,
  undo: ReadonlyArray<() => Promise<void>>,
  dial: DialServer,
  disks: SandboxDisks,
): Sandbox {
  let stopAsked = false;
  let brokenGuest: string | undefined;

  const teardown = async () => {
    for (const step of undo) await step().catch(() => {});
  };
  // A guest that breaks the protocol is not to be trusted with anything: its VM ends.
  void guest.closed.then(async (reason) => {
    const grace = new Promise<"late">((resolve) => setTimeout(resolve, 1_000, "late").unref());
    if ((await Promise.race([vm.exited, grace])) !== "late") return;
    brokenGuest = reason;
    await vm.stop();
  });
  void volumes.failed.then(async (reason) => {
    brokenGuest = reason;
    await vm.stop();
  });
  const ended = vm.exited.then(async (exit) => {
    // The folder goes with the teardown, and what it tells.
    const reason = (cgroup?.oomKills() ?? 0) > 0 ? hostOomReason(cgroup, exit.reason) : exit.reason;
    guest.close(reason);
    await dial.close().catch(() => {});
    await teardown();
    if (stopAsked) return {};
    return {
      reason: brokenGuest === undefined ? reason : `the sandbox's guest failed: ${brokenGuest}`,
    };
  });

  return {
    guest,
    vmmPid: vm.pid,
    get record() {
      return size.record;
    },
    resize: size.resize,
    roots,
    volumes,
    ended,
    ...disks,
    async stop(how = "kill") {
      stopAsked = true;
      // The disks are thrown away with the sandbox: nothing in the guest is worth waiting for.
      await (how === "kill" ? vm.stop() : vm.shutdown());
      await ended;
    },
  };
}

function hostOomReason(cgroup: VmmCgroup | undefined, reason: string): string {
  return `${reason}, because it needed more than the ${cgroup?.limits.memoryMib} MiB that this machine allows the sandbox`;
}

/** The VMM's cgroup; undefined, with a warning, where this process cannot make one. */
function confine(
  { state, cgroupsPath, log }: SandboxInput,
  limits: VmmLimits,
  undo: Array<() => Promise<void>>,
): VmmCgroup | undefined {
  const path = vmmCgroupPath(cgroupsPath, state.groupId);
  try {
    const { cpuMillis, memoryMib } = limits;
    const cgroup = createVmmCgroup(path, { cpuMillis, memoryMib }, (cgroupFolders) =>
      // For a `delete` that finds this process dead.
      writeShimState({ ...state, cgroupFolders }),
    );
    undo.unshift(() => removeVmmCgroup(cgroup.folders));
    return cgroup;
  } catch (error) {
    log.warn({ error: messageOf(error) }, "the VMM runs without limits of its own on this machine");
    return undefined;
  }
}

function nicOf(network: GuestNic | undefined): Pick<VmSpec, "nic"> {
  return network === undefined ? {} : { nic: network.nic };
}

/** Makes a spare VM the sandbox's: its files, its cgroup, and what goes with it. */
async function takeSpare(
  { spareVm, netnsPath }: SandboxInput,
  spec: VmSpec,
  listener: GuestListener,
  undo: Array<() => Promise<void>>,
): Promise<PreparedVm | undefined> {
  if (spareVm === undefined || netnsPath === undefined) return undefined;
  const prepared = await spareVm.take(spec, listener);
  if (prepared === undefined) return undefined;
  const { vm } = prepared;
  const { cgroup, consoleLog, pidFile } = spec;
  undo.unshift(async () => {
    for (const folder of spareVm.folders) rmSync(folder, { recursive: true, force: true });
  });
  undo.unshift(vm.stop);
  vm.moveFiles({ consoleLog, pidFile });
  cgroup?.add(vm.pid);
  return prepared;
}

/** The same for a sandbox that is started again, and nobody else's. */
function machineIdOf(sandboxId: string): string {
  return createHash("sha256").update(sandboxId).digest("hex").slice(0, 32);
}

function vmRecord(
  { spec, vm, kernelRelease, bootMs, startKind, fellBack }: PreparedVm,
  told: Pick<VmRecord, "bootId" | "timeline">,
  { hypervisor, accelerator }: HypervisorChoice,
  size: VmSize,
  { state, options }: SandboxInput,
  { cgroup, most }: { readonly cgroup: VmmCgroup | undefined; readonly most: VmShape | undefined },
): VmRecord {
  return {
    ...(cgroup?.isUsed ? { cgroup: { path: cgroup.path, ...cgroup.limits } } : {}),
    hypervisor: hypervisor.name,
    hypervisorVersion: vm.version,
    accelerator,
    network: options.network,
    vcpus: size.vcpus,
    memoryMib: size.memoryMib,
    ...(most === undefined ? {} : { most }),
    sizing: size.lines,
    vmmPid: vm.pid,
    vmmUid: spec.place?.uid ?? process.getuid?.() ?? 0,
    shimPid: process.pid,
    kernelRelease,
    startKind,
    ...(fellBack === undefined ? {} : { fellBack }),
    bootMs,
    ...told,
    consoleLog: join(state.bundle, consoleLogFile),
    dialSocket: socketPaths(state.socketPrefix).dial,
    argv: vm.argv,
  };
}
