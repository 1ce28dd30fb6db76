/**
 * Copies files and folders of the host into the guest's memory: what the kubelet and engines write.
 * Modes, owners and symlinks (Kubernetes' `..data`) are kept; the amount is bounded.
 */
import { constants } from "node:fs";
import { lstat, open, readdir, readlink, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";
import type { GuestClient } from "../guest-client/client.ts";
import { createFileWriter, type FileMeta, type FileWriter } from "./file-writer.ts";
import type { GuestOwner } from "./guest-owner.ts";

// ConfigMaps and Secrets are at most 1 MiB each; this leaves room for projected volumes.
const maxCopyBytes = 64 << 20;
const maxCopyFiles = 10_000;
const chunkBytes = 512 << 10;

/** The guest, and whose the host's files are there. */
export interface CopyTarget {
  readonly guest: GuestClient;
  readonly ownerOf: GuestOwner;
}

/** One copying: what it has taken so far, and whose files they become. */
interface Budget {
  bytes: number;
  files: number;
  readonly ownerOf: GuestOwner;
}

/** Copies a file or a folder with all below it. Rejects with MOUNT_NOT_SHARED naming the host's path. */
export async function copyIn(
  { guest, ownerOf }: CopyTarget,
  from: string,
  to: string,
): Promise<void> {
  try {
    const writer = createFileWriter(guest);
    await copyTree(writer, from, to, { bytes: 0, files: 0, ownerOf }, true);
    await writer.done();
  } catch (cause) {
    throw shimError("MOUNT_NOT_SHARED", `cannot give ${from} to the guest: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** A folder with the mode and owner of the host's, and nothing in it. */
export async function makeFolder(
  { guest, ownerOf }: CopyTarget,
  from: string,
  to: string,
): Promise<void> {
  const writer = createFileWriter(guest);
  await writer.folder(to, metaOf(from, await stat(from), ownerOf));
  await writer.done();
}

function metaOf(from: string, info: FileMeta, ownerOf: GuestOwner): FileMeta {
  return { mode: info.mode, ...ownerOf(from, info) };
}

async function copyTree(
  writer: FileWriter,
  from: string,
  to: string,
  budget: Budget,
  top = false,
): Promise<void> {
  // The top may be a link: what the user named is what it leads to. Below, links stay links.
  const info = top ? await stat(from) : await lstat(from);
  const meta = metaOf(from, info, budget.ownerOf);
  budget.files += 1;
  if (budget.files > maxCopyFiles) throw new Error(`it holds more than ${maxCopyFiles} files`);
  if (info.isDirectory()) {
    await writer.folder(to, meta);
    // Links last: `..data` must lead somewhere by the time it appears.
    const entries = await readdir(from, { withFileTypes: true });
    entries.sort((a, b) => Number(a.isSymbolicLink()) - Number(b.isSymbolicLink()));
    for (const entry of entries) {
      await copyTree(writer, join(from, entry.name), join(to, entry.name), budget);
    }
  } else if (info.isSymbolicLink()) {
    await writer.link(to, await readlink(from), meta);
  } else if (info.isFile()) {
    await copyFile(writer, from, to, meta, budget, top);
  } else if (top) {
    throw new Error(`${basename(from)} is a device, socket or FIFO, which a guest cannot share`);
  }
  // Sockets and devices inside a folder are left out: they would be dead in the guest.
}

async function copyFile(
  writer: FileWriter,
  from: string,
  to: string,
  meta: FileMeta,
  budget: Budget,
  top: boolean,
): Promise<void> {
  // Neither a link nor a FIFO that took the file's place since it was looked at.
  const file = await open(
    from,
    constants.O_RDONLY | constants.O_NONBLOCK | (top ? 0 : constants.O_NOFOLLOW),
  );
  try {
    const { size } = await file.stat();
    // One byte more than it has, so that one read tells its end.
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, size + 1));
    for (let offset = 0, last = false; !last; ) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, offset);
      last = bytesRead < chunk.length;
      budget.bytes += bytesRead;
      if (budget.bytes > maxCopyBytes) {
        throw new Error(
          `it is larger than ${maxCopyBytes >> 20} MiB, the most that is copied into a sandbox`,
        );
      }
      await writer.piece(to, meta, offset, chunk.subarray(0, bytesRead), last);
      offset += bytesRead;
    }
  } finally {
    await file.close();
  }
}
