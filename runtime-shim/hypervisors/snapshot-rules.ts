/** What every driver asks of a VM before it saves it, and of a snapshot before it takes it. */
import { accessSync, constants } from "node:fs";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";
import type { Nic, RunningVm, VmSpec } from "./hypervisor.ts";

export interface DiskVerbs extends Pick<RunningVm, "attachDisk" | "detachDisk" | "attachFolder"> {
  hasDisks(): boolean;
  hasFolder(): boolean;
}

export interface MachineVerbs extends Pick<RunningVm, "attachNic" | "detachNic" | "resize"> {
  /** The VM is no longer the one of its spec. */
  isChanged(): boolean;
}

/** Throws VMM_CONTROL. */
export function assertSavable(
  { hasDisks, hasFolder }: DiskVerbs,
  { isChanged }: MachineVerbs,
): void {
  if (hasDisks()) {
    throw shimError("VMM_CONTROL", "the VM has disks: take them out before a snapshot");
  }
  // Its daemon knows what the guest has open, and no clone could have the same memory mapped.
  if (hasFolder()) throw shimError("VMM_CONTROL", "a VM with a shared folder cannot be saved");
  // A clone is started as the spec says, and the state would not fit it.
  if (isChanged()) {
    throw shimError("VMM_CONTROL", "a VM that has grown or has another NIC cannot be saved");
  }
}

/** Throws VMM_START_FAILED, before anything is started. */
export function assertReadable(file: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (cause) {
    const words = `the snapshot's ${file} cannot be read: ${messageOf(cause)}`;
    throw shimError("VMM_START_FAILED", words, {
      cause,
      hint: "give a folder that this hypervisor has saved a VM into",
    });
  }
}

/** The spec with the same words for all that may differ between a saved VM and a restored one. */
export function commonSpec(spec: VmSpec): VmSpec {
  const { place: _, cgroup: __, savedTo: ___, codeCacheMib: ____, nic, ...machine } = spec;
  return {
    ...machine,
    ...{ id: "", kernel: "", initrd: "", openReadOnly: "", noKernel: "" },
    ...{ agentSocket: "", controlSocket: "", consoleLog: "", pidFile: "" },
    ...(nic === undefined ? {} : { nic: commonNic(nic) }),
  };
}

function commonNic(nic: Nic): Nic {
  if (nic.kind === "tap") return { ...nic, tap: "" };
  const { netnsPath: _, ...played } = nic;
  return { ...played, egress: "none", subnet: "", gateway: "", nameserver: "" };
}
