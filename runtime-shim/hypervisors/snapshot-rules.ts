/** What every driver asks of a VM before it saves it, and of a snapshot before it takes it. */
import { accessSync, constants } from "node:fs";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";
import type { RunningVm } from "./hypervisor.ts";

export interface DiskVerbs extends Pick<RunningVm, "attachDisk" | "detachDisk"> {
  hasDisks(): boolean;
}

/** Throws VMM_CONTROL. */
export function assertNoDisks(hasDisks: boolean): void {
  if (!hasDisks) return;
  throw shimError("VMM_CONTROL", "the VM has disks: take them out before a snapshot");
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
