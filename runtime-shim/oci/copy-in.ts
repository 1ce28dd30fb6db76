/**
 * Copies files and folders of the host into the guest before a container that binds them is made.
 * Modes, owners and symlinks (Kubernetes' `..data`) are kept; the amount is bounded.
 */
import { constants } from "node:fs";
import { lstat, open, readdir, readlink, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";
import type { GuestClient } from "../guest-client/client.ts";
import type { FieldList } from "../guest-client/fields.ts";
import type { GuestCopy } from "./mounts.ts";

// ConfigMaps and Secrets are at most 1 MiB each; this leaves room for projected volumes and small
// hostPath folders, and keeps a mistaken bind of / from filling the guest's memory.
export const maxCopyBytes = 64 << 20;
const maxCopyFiles = 10_000;
const chunkBytes = 512 << 10;

const { S_IFDIR, S_IFREG, S_IFLNK } = constants;

interface Budget {
  bytes: number;
  files: number;
}

/** Rejects with MOUNT_NOT_SHARED naming the host's path. */
export async function copyIn(guest: GuestClient, copies: readonly GuestCopy[]): Promise<void> {
  for (const copy of copies) {
    try {
      if (copy.kind === "folder") await makeFolder(guest, copy);
      else await copyTree(guest, copy.hostPath, copy.guestPath, { bytes: 0, files: 0 }, true);
    } catch (cause) {
      throw shimError(
        "MOUNT_NOT_SHARED",
        `cannot give ${copy.hostPath} to the guest: ${messageOf(cause)}`,
        {
          cause,
        },
      );
    }
  }
}

async function makeFolder(guest: GuestClient, { hostPath, guestPath }: GuestCopy): Promise<void> {
  const { mode, uid, gid } = await stat(hostPath);
  await write(guest, guestPath, S_IFDIR | (mode & 0o7777), uid, gid, []);
}

async function copyTree(
  guest: GuestClient,
  from: string,
  to: string,
  budget: Budget,
  top = false,
): Promise<void> {
  // The top may be a link: what the user named is what it leads to. Below, links stay links.
  const info = top ? await stat(from) : await lstat(from);
  const { mode, uid, gid } = info;
  budget.files += 1;
  if (budget.files > maxCopyFiles) throw new Error(`it holds more than ${maxCopyFiles} files`);
  if (info.isDirectory()) {
    await write(guest, to, S_IFDIR | (mode & 0o7777), uid, gid, []);
    // Links last: `..data` must lead somewhere by the time it appears.
    const entries = await readdir(from, { withFileTypes: true });
    entries.sort((a, b) => Number(a.isSymbolicLink()) - Number(b.isSymbolicLink()));
    for (const entry of entries) {
      await copyTree(guest, join(from, entry.name), join(to, entry.name), budget);
    }
  } else if (info.isSymbolicLink()) {
    const target = Buffer.from(await readlink(from));
    await write(guest, to, S_IFLNK | 0o777, uid, gid, [
      [6, target],
      [7, 1],
    ]);
  } else if (info.isFile()) {
    await copyFile(guest, from, to, { mode, uid, gid }, budget, top);
  } else if (top) {
    throw new Error(`${basename(from)} is a device, socket or FIFO, which a guest cannot share`);
  }
  // Sockets and devices inside a folder are left out: they would be dead in the guest.
}

async function copyFile(
  guest: GuestClient,
  from: string,
  to: string,
  { mode, uid, gid }: { readonly mode: number; readonly uid: number; readonly gid: number },
  budget: Budget,
  top: boolean,
): Promise<void> {
  // Neither a link nor a FIFO that took the file's place since it was looked at.
  const file = await open(
    from,
    constants.O_RDONLY | constants.O_NONBLOCK | (top ? 0 : constants.O_NOFOLLOW),
  );
  try {
    const chunk = Buffer.allocUnsafe(chunkBytes);
    for (let offset = 0, last = false; !last; ) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, offset);
      last = bytesRead < chunk.length;
      budget.bytes += bytesRead;
      if (budget.bytes > maxCopyBytes) {
        throw new Error(
          `it is larger than ${maxCopyBytes >> 20} MiB, the most that is copied into a sandbox`,
        );
      }
      await write(guest, to, S_IFREG | (mode & 0o7777), uid, gid, [
        [5, offset],
        [6, chunk.subarray(0, bytesRead)],
        ...(last ? ([[7, 1]] as const) : []),
      ]);
      offset += bytesRead;
    }
  } finally {
    await file.close();
  }
}

async function write(
  guest: GuestClient,
  path: string,
  mode: number,
  uid: number,
  gid: number,
  rest: FieldList,
): Promise<void> {
  await guest.request("writeFile", [[1, path], [2, mode], [3, uid], [4, gid], ...rest]);
}
