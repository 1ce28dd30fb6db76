/**
 * emptyDir volumes of a pod in its guest: on a sparse disk whose file lies in the kubelet's own folder
 * (so that what is written is accounted to it and goes with it), or a tmpfs where the kubelet made one.
 */
import { existsSync, lstatSync, rmSync } from "node:fs";
import { rename, stat, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { type DiskPlugs, plugDisk } from "../disks/plug-disk.ts";
import { diskSerial } from "../disks/root-disks.ts";
import { createVolumeDisk } from "../disks/writable-disk.ts";
import { shimError } from "../errors.ts";
import { type CopyTarget, makeFolder } from "./copy-in.ts";

export interface EmptyDirs {
  /** The volume is in the guest, with the mode and owner it has on the host. Once for all containers. */
  add(hostPath: string, guestPath: string): Promise<void>;
}

/** In the volume's folder on the host; in the guest only its content shows. */
const volumeDiskFile = "katasim-volume.ext4";

// TMPFS_MAGIC of linux/magic.h.
const tmpfsMagic = 0x01021994;

/** `sizes`: what a volume holds at most, by its name. */
export function createEmptyDirs(
  vm: DiskPlugs,
  into: CopyTarget,
  sizes: ReadonlyMap<string, number>,
): EmptyDirs {
  const { guest } = into;
  const made = new Map<string, Promise<void>>();
  const make = async (hostPath: string, guestPath: string) => {
    const serial = diskSerial("volume", hostPath);
    try {
      const { type, bsize, blocks } = await statfs(hostPath);
      const isMount = (await stat(hostPath)).dev !== (await stat(dirname(hostPath))).dev;
      if (isMount && type === tmpfsMagic) {
        await guest.request("mountDisk", [
          ...[[1, serial] as const, [2, "tmpfs"] as const, [4, guestPath] as const],
          // The host's size is the volume's limit, or the pod's: the kubelet has seen to it.
          [5, bsize * blocks],
        ]);
      } else {
        const path = await diskFile(hostPath, sizes.get(basename(hostPath)));
        await plugDisk(vm, guest, { serial, path, readOnly: false }, "ext4", guestPath);
      }
      await makeFolder(into, hostPath, guestPath);
    } catch (cause) {
      throw shimError("DISK", `cannot make the volume ${hostPath}: ${messageOf(cause)}`, { cause });
    }
  };
  return {
    add(hostPath, guestPath) {
      const known = made.get(guestPath);
      if (known !== undefined) return known;
      const added = make(hostPath, guestPath);
      made.set(guestPath, added);
      // What failed may be tried again.
      added.catch(() => made.delete(guestPath));
      return added;
    },
  };
}

/** One that is there is of a sandbox before this one: the volume is the pod's. */
async function diskFile(folder: string, bytes: number | undefined): Promise<string> {
  const path = join(folder, volumeDiskFile);
  if (existsSync(path)) {
    if (!lstatSync(path).isFile()) throw new Error(`${path} is no file`);
    return path;
  }
  // Under another name until it is a file system.
  const part = `${path}.part`;
  try {
    await createVolumeDisk(part, bytes);
    await rename(part, path);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
  return path;
}
