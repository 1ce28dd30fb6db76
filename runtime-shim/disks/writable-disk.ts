/** The sparse disk a container writes to: the upper layer of its root file system. */
import { rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { messageOf } from "../../common/errors.ts";
import { runProgram } from "../../common/process/run-program.ts";
import { shimError } from "../errors.ts";

// What an AKS node gives a container before eviction is of this order; it costs 0.8 MiB when empty.
const diskBytes = 10 * 2 ** 30;

// No journal: the disk does not outlive its container. One inode per 64 KiB keeps the tables small.
const mkfsArguments = [
  ...["-q", "-F", "-m", "0", "-i", "65536"],
  ...["-O", "^has_journal,^resize_inode,^metadata_csum"],
  ...["-E", "root_owner=0:0"],
];

/** Rejects with DISK; leaves no file then. */
export async function createWritableDisk(path: string): Promise<void> {
  try {
    const file = await open(path, "w", 0o600);
    await file.truncate(diskBytes).finally(() => file.close());
  } catch (cause) {
    rmSync(path, { force: true });
    throw shimError("DISK", `cannot make ${path}: ${messageOf(cause)}`, { cause });
  }
  const outcome = await runProgram("mkfs.ext4", [...mkfsArguments, path]);
  if (outcome.ok) return;
  rmSync(path, { force: true });
  throw shimError("DISK", `cannot format ${path}: ${outcome.stderr}`, {
    hint: outcome.missing ? "install the package e2fsprogs" : "check the free space of this disk",
  });
}
