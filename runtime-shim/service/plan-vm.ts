/** From what a pod may take to the VM it gets, on the hypervisor this machine has for it. */
import { homedir } from "node:os";
import type { Logger } from "../../common/log.ts";
import { type Paths, resolvePaths } from "../../common/paths.ts";
import { type VmmPlace, vmmPlace } from "../confinement/vmm-place.ts";
import { findGuestFiles, type GuestFiles } from "../hypervisors/guest-files.ts";
import type { VmShape, VmSpec } from "../hypervisors/hypervisor.ts";
import { chooseHypervisor, type HypervisorChoice } from "../hypervisors/registry.ts";
import type { ShimOptions } from "../shim-options.ts";
import { type SizingProfile, sizingProfiles } from "../sizing/profiles.ts";
import { type PodLimits, sizeVm, type VmSize } from "../sizing/vm-size.ts";
import { assertRoomForVm } from "./host-memory.ts";
import { roomFor } from "./sandbox-size.ts";

export interface VmPlan {
  readonly profile: SizingProfile;
  readonly size: VmSize;
  readonly most: VmShape | undefined;
  readonly files: GuestFiles;
  readonly choice: HypervisorChoice;
  /** The VMM's own memory beside the guest's. */
  readonly overheadMib: number;
}

// Code, device state, the page cache of its disks; and in software the cache of translated code.
const vmmOverheadMib = { hardware: 192, software: 320 };

/** Rejects with the reason in words: too small, no hypervisor, no guest files. */
export async function planVm(
  { options, limits }: { readonly options: ShimOptions; readonly limits: PodLimits },
  log: Logger,
): Promise<VmPlan> {
  const profile = sizingProfiles[options.sizingProfile];
  const size = sizeVm(profile, limits);
  const guestDir = options.guestDir ?? userPaths().guest;
  const files = findGuestFiles(guestDir);
  const probeCacheDir = options.probeCacheDir ?? guestDir;
  const choice = await chooseHypervisor(options, { log, probeCacheDir });
  const overheadMib = vmmOverheadMib[choice.accelerator === "tcg" ? "software" : "hardware"];
  return { profile, size, most: roomFor(size, options), files, choice, overheadMib };
}

/** Throws HOST_MEMORY, before anything is started. */
export function assertRoomForPlan({ size, overheadMib }: VmPlan): void {
  assertRoomForVm(size.memoryMib, overheadMib);
}

/** What of a VM's spec the plan decides. */
export function machineOf(
  { size, most, files, choice }: VmPlan,
  place: VmmPlace | undefined,
): Pick<
  VmSpec,
  | keyof VmShape
  | "most"
  | "accelerator"
  | "kernel"
  | "initrd"
  | "openReadOnly"
  | "noKernel"
  | "place"
> {
  return {
    vcpus: size.vcpus,
    memoryMib: size.memoryMib,
    ...(most === undefined ? {} : { most }),
    accelerator: choice.accelerator,
    kernel: files.kernel,
    initrd: files.initrd,
    openReadOnly: files.openReadOnly,
    noKernel: files.noKernel,
    ...(place === undefined ? {} : { place }),
  };
}

/** Undefined, with a warning when this is root, where this process cannot make one. */
export function placeFor(
  id: string,
  { files, choice }: VmPlan,
  options: ShimOptions,
  log: Logger,
): VmmPlace | undefined {
  const { accelerator } = choice;
  const devices = [
    ...(accelerator === "tcg" ? [] : [`/dev/${accelerator}`]),
    ...(options.network === "netns" ? ["/dev/net/tun"] : []),
  ];
  const place = vmmPlace(id, files.vmmPlace, devices);
  if (place === undefined && process.getuid?.() === 0) {
    log.warn("this root may not mount or change users: the VMM runs as root, without its powers");
  }
  return place;
}

/** The user's folders; under containerd there may be no HOME in the environment. */
export function userPaths(): Paths {
  return resolvePaths({ name: "default", env: { HOME: homedir(), ...process.env } });
}
