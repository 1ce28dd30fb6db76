/**
 * From a container's root file system to read-only disks a guest can mount. Image files are taken as
 * they are; anything else is packed into an erofs file, which containers of one image share.
 */
import { createHash } from "node:crypto";
import { readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";
import type { Disk } from "../hypervisors/hypervisor.ts";
import { packFolder, packRoot } from "./pack-root.ts";
import { type RootTree, rootTree } from "./root-tree.ts";
import type { RootfsCache } from "./rootfs-cache.ts";

/** Serials are at most 20 bytes; 72 bits of a digest never collide among a pod's disks. */
export function diskSerial(kind: "image" | "writable" | "volume", text: string): string {
  const prefix = { image: "i", writable: "w", volume: "v" }[kind];
  return `${prefix}${createHash("sha256").update(text).digest("hex").slice(0, 18)}`;
}

const ownFile = "rootfs.erofs";

export interface RootDisks {
  /** For `overlay`'s lower layers, topmost first. */
  readonly disks: readonly Disk[];
  /** The serial of a disk that is this container's alone. */
  readonly own?: string;
}

/**
 * `workDir` is the container's, and so is what is packed there: see `removeRootFiles`. Rejects with
 * BAD_ROOTFS, DISK or ROOTFS_SPACE.
 */
export async function rootDisks(
  root: Parameters<typeof rootTree>,
  workDir: string,
  cache: RootfsCache,
): Promise<RootDisks> {
  const tree = rootTree(...root);
  if (tree.kind === "images") return { disks: tree.files.map(imageDisk) };
  assertFolders(tree);
  if (isShared(tree)) {
    const file = await cache.fileOf(tree, workDir);
    if (file !== undefined) return { disks: [imageDisk(file)] };
  }
  const file = join(workDir, ownFile);
  await packRoot(tree, file, workDir);
  const disk = imageDisk(file);
  return { disks: [disk], own: disk.serial };
}

/** Removes what `rootDisks` may have left in the container's folder. Idempotent. */
export function removeRootFiles(workDir: string): void {
  rmSync(join(workDir, ownFile), { force: true });
  rmSync(join(workDir, packFolder), { recursive: true, force: true });
}

/** Whether another container may come with the same tree. */
function isShared(tree: Exclude<RootTree, { kind: "images" }>): boolean {
  if (tree.kind === "layers") return tree.upper === undefined || isEmpty(tree.upper);
  // An overlay is mounted for one container (Docker's): its inode numbers are of this mount alone.
  return tree.kind === "folder" && tree.reusable && statfsSync(tree.path).type !== overlayMagic;
}

// OVERLAYFS_SUPER_MAGIC of linux/magic.h.
const overlayMagic = 0x794c7630;

function assertFolders(tree: RootTree): void {
  const folders =
    tree.kind === "folder"
      ? [tree.path]
      : tree.kind === "layers"
        ? [...tree.lower, ...(tree.upper === undefined ? [] : [tree.upper])]
        : [];
  for (const folder of folders) {
    try {
      if (!statSync(folder).isDirectory()) throw new Error("it is no folder");
    } catch (cause) {
      throw shimError(
        "BAD_ROOTFS",
        `the root file system cannot be used: ${folder}: ${messageOf(cause)}`,
        {
          cause,
        },
      );
    }
  }
}

function isEmpty(folder: string): boolean {
  return readdirSync(folder).length === 0;
}

function imageDisk(path: string): Disk {
  try {
    if (!statSync(path).isFile()) throw new Error("it is no file");
  } catch (cause) {
    throw shimError("BAD_ROOTFS", `the image file ${path} cannot be used: ${messageOf(cause)}`, {
      cause,
    });
  }
  return { serial: diskSerial("image", path), path, readOnly: true };
}
