/** The kernel and initramfs a VM boots from, checked before anything is started. */
import { accessSync, closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";

export interface GuestFiles {
  readonly kernel: string;
  readonly initrd: string;
  /** What the sources of `confinement/native` become. */
  readonly vmmPlace: string;
  readonly openReadOnly: string;
  readonly noKernel: string;
  /** An erofs with the pause program, for the rehearsal of templates and spare VMs. */
  readonly rehearsal: string;
  /** `uname -r` the guest will answer. */
  readonly kernelRelease: string;
}

const elfMagic = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

/** Throws GUEST_FILES naming the file and how to make it. */
export function findGuestFiles(folder: string): GuestFiles {
  const kernel = join(folder, "vmlinux");
  const initrd = join(folder, "initramfs.cpio");
  const vmmPlace = join(folder, "host", "vmm-place");
  const rehearsal = join(folder, "host", "rehearsal.erofs");
  const openReadOnly = join(folder, "host", "open-read-only.so");
  const noKernel = join(folder, "host", "no-kernel");
  for (const [what, path] of [
    ["kernel", kernel],
    ["initramfs", initrd],
    ["place", vmmPlace],
    ["library", openReadOnly],
    ["stand-in for a kernel", noKernel],
    ["rehearsal's image", rehearsal],
  ] as const) {
    try {
      accessSync(path, constants.R_OK);
    } catch (cause) {
      throw guestFilesError(
        `the guest's ${what} ${path} cannot be read: ${messageOf(cause)}`,
        cause,
      );
    }
  }
  const head = readHead(kernel);
  // A bzImage ("HdrS" at 0x202) boots too, only slower.
  const isBzImage = head.subarray(0x202, 0x206).toString("latin1") === "HdrS";
  if (!head.subarray(0, 4).equals(elfMagic) && !isBzImage) {
    throw guestFilesError(`the guest kernel ${kernel} is neither an ELF file nor a bzImage`);
  }
  return {
    ...{ kernel, initrd, vmmPlace, openReadOnly, noKernel, rehearsal },
    kernelRelease: readRelease(join(folder, "release.json")),
  };
}

function readHead(path: string): Buffer {
  const head = Buffer.alloc(0x210);
  try {
    const fd = openSync(path, "r");
    try {
      readSync(fd, head, 0, head.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw guestFilesError(`the guest kernel ${path} cannot be read: ${messageOf(cause)}`, cause);
  }
  return head;
}

function readRelease(path: string): string {
  try {
    const release: unknown = JSON.parse(readFileSync(path, "utf8"));
    const value = (release as { kernelRelease?: unknown } | null)?.kernelRelease;
    if (typeof value === "string") return value;
  } catch (cause) {
    throw guestFilesError(`${path} cannot be read: ${messageOf(cause)}`, cause);
  }
  throw guestFilesError(`${path} names no kernelRelease`);
}

function guestFilesError(message: string, cause?: unknown) {
  return shimError("GUEST_FILES", message, { cause, hint: "run scripts/build-guest --force" });
}
