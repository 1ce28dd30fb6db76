/**
 * Sparse disks that guests write to: the upper layer of a container's root file system, and emptyDir
 * volumes.
 */
import { rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { messageOf } from "../../common/errors.ts";
import { runProgram } from "../../common/process/run-program.ts";
import { shimError } from "../errors.ts";

// What an AKS node gives a container before eviction is of this order; it costs 0.8 MiB when empty.
const diskBytes = 10 * 2 ** 30;
// Below that there is no room for a journal.
const minVolumeBytes = 16 * 2 ** 20;

// One inode per 64 KiB keeps the tables small.
const mkfsArguments = ["-q", "-F", "-m", "0", "-i", "65536", "-E", "root_owner=0:0"];
// The disk does not outlive its container.
const withoutJournal = "^has_journal,^resize_inode,^metadata_csum";
// A volume outlives the VM that dies with it mounted. The file's holes are the zeros of an empty journal.
const withJournal = "has_journal,^resize_inode,^metadata_csum";
const smallJournal = ["-J", "size=4", "-E", "root_owner=0:0,lazy_journal_init=1"];

/** Rejects with DISK; leaves no file then. */
export function createWritableDisk(path: string): Promise<void> {
  return createDisk(path, diskBytes, ["-O", withoutJournal]);
}

/** One that survives a VM's sudden end. `bytes` is what it holds at most. Rejects with DISK. */
export function createVolumeDisk(path: string, bytes = diskBytes): Promise<void> {
  return createDisk(path, Math.max(bytes, minVolumeBytes), ["-O", withJournal, ...smallJournal]);
}

async function createDisk(path: string, bytes: number, more: readonly string[]): Promise<void> {
  try {
    const file = await open(path, "w", 0o600);
    await file.truncate(bytes).finally(() => file.close());
  } catch (cause) {
    rmSync(path, { force: true });
    throw shimError("DISK", `cannot make ${path}: ${messageOf(cause)}`, { cause });
  }
  const outcome = await runProgram("mkfs.ext4", [...mkfsArguments, ...more, path]);
  if (outcome.ok) return;
  rmSync(path, { force: true });
  throw shimError("DISK", `cannot format ${path}: ${outcome.stderr}`, {
    hint: outcome.missing ? "install the package e2fsprogs" : "check the free space of this disk",
  });
}
