/**
 * A sandbox: one VM, its guest, its tap and sockets. Made once by `bootSandbox`; `stop` may be called
 * from anywhere and any number of times and leaves nothing outside the bundle.
 */
import { rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { type Paths, resolvePaths } from "../../common/paths.ts";
import {
  createVmmCgroup,
  removeVmmCgroup,
  type VmmCgroup,
  type VmmLimits,
  vmmCgroupPath,
} from "../confinement/vmm-cgroup.ts";
import { makeSocketFolder, type VmmPlace, vmmPlace } from "../confinement/vmm-place.ts";
import { createRootfsCache, type RootfsCache } from "../disks/rootfs-cache.ts";
import type { GuestClient, GuestListener } from "../guest-client/client.ts";
import { type DialServer, joinPort, startDialServer } from "../guest-client/dial-server.ts";
import { findGuestFiles } from "../hypervisors/guest-files.ts";
import type { Accelerator, Disk, Nic, RunningVm, VmShape } from "../hypervisors/hypervisor.ts";
import { chooseHypervisor, type HypervisorChoice } from "../hypervisors/registry.ts";
import type { PodInterface } from "../network/interface.ts";
import { createPodListeners, type PodListeners } from "../network/pod-listeners.ts";
import { connectTap, disconnectTap, tapName } from "../network/tcfilter.ts";
import { userNetwork } from "../network/user-network.ts";
import type { ShimOptions, VmRecord } from "../shim-options.ts";
import { sizingProfiles } from "../sizing/profiles.ts";
import { type PodLimits, sizeVm, type VmSize } from "../sizing/vm-size.ts";
import { createSandboxVolumes, type SandboxVolumes } from "../volumes/sandbox-volumes.ts";
import { wantsSharedFolders } from "../volumes/volume-annotations.ts";
import { type BootedGuest, bootGuest } from "./boot-guest.ts";
import { writeVmRecord } from "./bundle-files.ts";
import { clockIntervalMs, keepGuestClock } from "./guest-clock.ts";
import { assertHostMemory } from "./host-memory.ts";
import { createSandboxSize, roomFor, type SandboxSize } from "./sandbox-size.ts";
import {
  consoleLogFile,
  type ShimState,
  sharedFolderName,
  socketPaths,
  vmmPidFile,
  writeShimState,
} from "./state-file.ts";

export interface Sandbox {
  readonly guest: GuestClient;
  readonly vmmPid: number;
  /** As it is now. */
  readonly record: VmRecord;
  /** Where its containers' root file systems are packed. */
  readonly roots: RootfsCache;
  /** What its containers bind. */
  readonly volumes: SandboxVolumes;
  /** Plugs and mounts a read-only disk once, however many containers ask for it. */
  addImageDisk(disk: Disk, fsType: "erofs"): Promise<void>;
  addWritableDisk(disk: Disk): Promise<void>;
  removeDisk(serial: string): Promise<void>;
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
  readonly log: Logger;
  readonly signal?: AbortSignal;
}

// The VMM's own memory beside the guest's: code, device state, the page cache of its disks; and in
// software the cache of translated code.
const vmmOverheadMib = { hardware: 192, software: 320 };

/** Rejects with the reason in words; nothing is left behind then. */
export async function bootSandbox(input: SandboxInput): Promise<Sandbox> {
  const { state, options, log } = input;
  const profile = sizingProfiles[options.sizingProfile];
  const size = sizeVm(profile, input.limits);
  const most = roomFor(size, options);
  const guestDir = options.guestDir ?? userPaths().guest;
  const files = findGuestFiles(guestDir);
  const probeCacheDir = options.probeCacheDir ?? guestDir;
  const choice = await chooseHypervisor(options, { log, probeCacheDir });
  const { accelerator } = choice;
  const overheadMib = vmmOverheadMib[accelerator === "tcg" ? "software" : "hardware"];
  assertHostMemory(size.memoryMib + overheadMib);
  const sockets = socketPaths(state.socketPrefix);
  const sharedMemory = wantsSharedFolders(input.annotations, options.sharedFolders);
  const undo: Array<() => Promise<void>> = [];
  let vm: RunningVm | undefined;
  try {
    const cgroup = confine(input, { ...size, memoryMib: size.memoryMib + overheadMib }, undo);
    const place = placeFor(input, accelerator);
    // Not the task socket: the shim lives on.
    undo.unshift(async () => rmSync(sockets.vmmFolder, { recursive: true, force: true }));
    makeSocketFolder(sockets.vmmFolder, place);
    const network = await connectNetwork(input, cgroup, place, undo);
    vm = await choice.hypervisor.start({
      id: state.groupId,
      vcpus: size.vcpus,
      memoryMib: size.memoryMib,
      ...(most === undefined ? {} : { most }),
      accelerator,
      sharedMemory,
      kernel: files.kernel,
      initrd: files.initrd,
      ...(input.netnsPath === undefined ? {} : { netnsPath: input.netnsPath }),
      ...(cgroup === undefined ? {} : { cgroup }),
      ...(place === undefined ? {} : { place }),
      ...(network === undefined ? {} : { nic: network.nic }),
      agentSocket: sockets.agent,
      controlSocket: sockets.control,
      consoleLog: join(state.bundle, consoleLogFile),
      pidFile: join(state.bundle, vmmPidFile),
    });
    undo.unshift(vm.stop);
    let listeners: PodListeners | undefined;
    const listener: GuestListener = {
      ...input.listener,
      listening: (ports) => listeners?.update(ports),
    };
    const booted = await bootGuest(vm, { ...input, network: network?.pod }, { ...input, listener });
    const intervalMs = Math.min(clockIntervalMs, options.guestTimeoutSeconds * 1000);
    keepGuestClock(booted.guest, { log, intervalMs });
    const dial = await startDialServer(sockets.dial, booted.guest);
    undo.unshift(() => dial.close());
    if (network?.nic.kind === "tap") {
      listeners = listenInNamespace(input, booted.guest);
      undo.unshift(listeners.close);
      await booted.guest.request("listeners");
    }
    const volumes = createSandboxVolumes({
      ...{ vm, guest: booted.guest, annotations: input.annotations, sharedMemory, cgroup, log },
      ...{ folder: join(state.bundle, sharedFolderName), socket: sockets.folder },
    });
    undo.unshift(() => volumes.close());
    const record = vmRecord(vm, booted, choice, size, input, { cgroup, place, most });
    writeVmRecord(state.bundle, record);
    const sandboxSize = createSandboxSize({
      ...{ vm, guest: booted.guest, cgroup, profile, overheadMib, record, log },
      limits: input.limits,
      save: (changed) => writeVmRecord(state.bundle, changed),
    });
    log.info({ record }, "sandbox booted");
    const roots = createRootfsCache({
      folder: options.rootfsCacheDir ?? userPaths().rootfs,
      maxBytes: options.rootfsCacheMib * 2 ** 20,
    });
    return createSandbox(vm, booted.guest, sandboxSize, roots, volumes, cgroup, undo, dial);
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
): Sandbox {
  const images = new Map<string, Promise<void>>();
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

  const plug = async (disk: Disk, fsType: "erofs" | "ext4") => {
    await vm.attachDisk(disk);
    try {
      await guest.request("mountDisk", [
        [1, disk.serial],
        [2, fsType],
        [3, disk.readOnly],
      ]);
    } catch (error) {
      await vm.detachDisk(disk.serial).catch(() => {});
      throw error;
    }
  };
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
    addImageDisk(disk, fsType) {
      const known = images.get(disk.serial);
      if (known !== undefined) return known;
      const added = plug(disk, fsType);
      images.set(disk.serial, added);
      // A failed plug may be tried again.
      added.catch(() => images.delete(disk.serial));
      return added;
    },
    addWritableDisk: (disk) => plug(disk, "ext4"),
    async removeDisk(serial) {
      images.delete(serial);
      try {
        await guest.request("unmountDisk", [[1, serial]]);
      } finally {
        // Its file goes away whatever the guest says.
        await vm.detachDisk(serial);
      }
    },
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

/** Undefined, with a warning when this is root, where this process cannot make one. */
function placeFor({ state, options, log }: SandboxInput, accelerator: Accelerator) {
  const devices = [
    ...(accelerator === "tcg" ? [] : [`/dev/${accelerator}`]),
    ...(options.network === "netns" ? ["/dev/net/tun"] : []),
  ];
  const place = vmmPlace(state.groupId, devices);
  if (place === undefined && process.getuid?.() === 0) {
    log.warn("this root may not mount or change users: the VMM runs as root, without its powers");
  }
  return place;
}

interface GuestNic {
  readonly nic: Nic;
  readonly pod: PodInterface;
}

async function connectNetwork(
  { netnsPath, address, state, options }: SandboxInput,
  cgroup: VmmCgroup | undefined,
  place: VmmPlace | undefined,
  undo: Array<() => Promise<void>>,
): Promise<GuestNic | undefined> {
  if (options.network === "user") {
    const { pod, ...network } = userNetwork(address);
    return { pod, nic: { kind: "user", mac: pod.mac, egress: options.egress, ...network } };
  }
  if (options.network === "none" || netnsPath === undefined) return undefined;
  const pod = await connectTap(netnsPath, place?.uid);
  if (pod === undefined) return undefined;
  undo.unshift(() => disconnectTap(netnsPath, pod.name));
  const cgroupFolders = cgroup === undefined ? {} : { cgroupFolders: cgroup.folders };
  writeShimState({ ...state, ...cgroupFolders, netnsPath, podInterface: pod.name });
  return { pod, nic: { kind: "tap", mac: pod.mac, tap: tapName } };
}

function listenInNamespace(
  { netnsPath = "", log }: SandboxInput,
  guest: GuestClient,
): PodListeners {
  return createPodListeners({
    netnsPath,
    log,
    // It listened a moment ago; a reset is what one meets who comes late.
    connect: (socket, port) =>
      void joinPort(socket, guest, port).catch(() => socket.resetAndDestroy()),
  });
}

function vmRecord(
  vm: RunningVm,
  booted: BootedGuest,
  { hypervisor, accelerator }: HypervisorChoice,
  size: VmSize,
  { state, options }: SandboxInput,
  {
    cgroup,
    place,
    most,
  }: {
    readonly cgroup: VmmCgroup | undefined;
    readonly place: VmmPlace | undefined;
    readonly most: VmShape | undefined;
  },
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
    vmmUid: place?.uid ?? process.getuid?.() ?? 0,
    shimPid: process.pid,
    kernelRelease: booted.kernelRelease,
    bootId: booted.bootId,
    startKind: "cold",
    bootMs: booted.bootMs,
    consoleLog: join(state.bundle, consoleLogFile),
    dialSocket: socketPaths(state.socketPrefix).dial,
    argv: vm.argv,
  };
}

/** The user's folders; under containerd there may be no HOME in the environment. */
function userPaths(): Paths {
  return resolvePaths({ name: "default", env: { HOME: homedir(), ...process.env } });
}
