/**
 * From the mounts of a create request to read-only disks a guest can mount. An erofs image is taken
 * as it is; any other root file system is mounted on the host, packed into an erofs file and let go.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { runProgram } from "../../common/process/run-program.ts";
import type { Mount } from "../../proto/containerd/gen/mount_pb.js";
import { shimError } from "../errors.ts";
import type { Disk } from "../hypervisors/hypervisor.ts";

/** Serials are at most 20 bytes; 72 bits of a digest never collide among a pod's disks. */
export function diskSerial(kind: "image" | "writable", text: string): string {
  const prefix = kind === "image" ? "i" : "w";
  return `${prefix}${createHash("sha256").update(text).digest("hex").slice(0, 18)}`;
}

export const packedRootFile = "rootfs.erofs";

// Packing a gigabyte takes seconds, not minutes.
const packTimeoutMs = 300_000;

/**
 * Disks for `overlay`'s lower layers, topmost first. `workDir` is where a packed root goes; it
 * belongs to the container and is removed with it. Rejects with BAD_ROOTFS.
 */
export async function rootDisks(
  bundle: string,
  rootfs: readonly Mount[],
  workDir: string,
): Promise<readonly Disk[]> {
  if (rootfs.length > 0 && rootfs.every(({ type }) => type === "erofs")) {
    // containerd lists mounts in the order they are stacked: the last is on top.
    return rootfs.map(({ source }) => imageDisk(source)).reverse();
  }
  const root = join(bundle, "rootfs");
  mkdirSync(root, { recursive: true });
  const packed = join(workDir, packedRootFile);
  try {
    for (const mount of rootfs) await mountOnHost(mount, root);
    rmSync(packed, { force: true });
    const outcome = await runProgram("mkfs.erofs", ["--quiet", packed, root], {
      timeoutMs: packTimeoutMs,
    });
    if (!outcome.ok) {
      throw shimError("BAD_ROOTFS", `cannot pack ${root} for the guest: ${outcome.stderr}`, {
        hint: outcome.missing ? "install the package erofs-utils" : "check the free space",
      });
    }
  } finally {
    await unmountRoot(bundle, rootfs.length);
  }
  return [imageDisk(packed)];
}

/** Unmounts what a create may have left on `<bundle>/rootfs`. Idempotent. */
export async function unmountRoot(bundle: string, layers = 1): Promise<void> {
  const root = join(bundle, "rootfs");
  if (!existsSync(root)) return;
  for (let layer = 0; layer < layers; layer += 1) {
    // Lazy: a busy mount must not keep the bundle from being removed.
    if (!(await runProgram("umount", ["-l", root])).ok) return;
  }
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

async function mountOnHost({ type, source, options }: Mount, target: string): Promise<void> {
  const bind = type === "bind" || options.some((option) => option === "bind" || option === "rbind");
  const list = bind ? [...options.filter((option) => option !== "rbind"), "bind"] : options;
  const outcome = await runProgram("mount", [
    ...(bind ? [] : ["-t", type]),
    ...(list.length === 0 ? [] : ["-o", list.join(",")]),
    ...["--", source, target],
  ]);
  if (!outcome.ok) {
    throw shimError("BAD_ROOTFS", `cannot mount the root file system: ${outcome.stderr}`);
  }
}
