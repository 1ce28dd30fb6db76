/** Device nodes of the machine, for privileged containers (containerd pkg/oci HostDevices). */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { OciDevice } from "./oci-types.ts";

// Made anew in every container, or never to be shared.
const skipped = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"]);

export async function hostDevices(folder = "/dev"): Promise<readonly OciDevice[]> {
  const found: OciDevice[] = [];
  for (const name of await readdir(folder).catch(() => [] as string[])) {
    if (skipped.has(name)) continue;
    const path = join(folder, name);
    const info = await lstat(path).catch(() => undefined);
    if (info === undefined) continue;
    if (info.isDirectory()) found.push(...(await hostDevices(path)));
    else if (info.isCharacterDevice() || info.isBlockDevice()) {
      found.push({
        path,
        type: info.isBlockDevice() ? "b" : "c",
        ...deviceNumbers(info.rdev),
        fileMode: info.mode & 0o7777,
        uid: info.uid,
        gid: info.gid,
      });
    }
  }
  return found;
}

/** glibc's encoding of dev_t (gnu_dev_major, gnu_dev_minor). */
function deviceNumbers(rdev: number): { major: number; minor: number } {
  const value = BigInt(rdev);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n);
  const minor = (value & 0xffn) | ((value >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}
