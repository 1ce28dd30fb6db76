/** The built-in base image as an erofs file, for tests that drive the shim itself. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sharedCache } from "./temp-home.ts";

export function guestFolder(): string {
  return join(sharedCache(), "guest");
}

/** Why VM tests cannot run here; undefined when they can. */
export function vmTestObstacle(): string | undefined {
  const guest = guestFolder();
  for (const file of ["vmlinux", "initramfs.cpio", "base-image/rootfs.tar"]) {
    if (!existsSync(join(guest, file)))
      return `${join(guest, file)} is missing: run scripts/build-guest`;
  }
  if (process.getuid?.() !== 0) return "only root can run VMs with a network";
  return undefined;
}

/** Makes `<folder>/base.erofs` and answers its path. */
export function makeBaseImage(folder: string): string {
  const root = join(folder, "root");
  const image = join(folder, "base.erofs");
  mkdirSync(root, { recursive: true });
  execFileSync("tar", ["-xf", join(guestFolder(), "base-image/rootfs.tar"), "-C", root]);
  execFileSync("mkfs.erofs", ["--quiet", image, root]);
  rmSync(root, { recursive: true });
  return image;
}
