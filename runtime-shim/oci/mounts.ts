/**
 * A spec's mounts as the guest is to make them. Pure: what it needs to know of the host is asked
 * through `HostPaths`. Rules: kata-containers container.go mountSharedDirMounts.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { sharedFolder, sharedMemoryFolder } from "../guest-client/protocol.ts";
import type { SpecMount } from "./spec.ts";

export interface GuestMount {
  readonly source: string;
  readonly destination: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Something of the host the guest must get before the container can be made. */
export interface GuestCopy {
  readonly hostPath: string;
  readonly guestPath: string;
  /** "tree" copies file or folder; "folder" makes an empty folder with the host's mode and owner. */
  readonly kind: "tree" | "folder";
}

export interface HostPaths {
  /** Whether it is a device, socket or FIFO: nothing that can be copied. */
  isSpecial(path: string): boolean;
}

export interface MountPlan {
  readonly mounts: readonly GuestMount[];
  readonly copies: readonly GuestCopy[];
}

const emptyDirPattern = /^(.*\/kubernetes\.io~empty-dir\/[^/]+)(\/.*)?$/;

/** Options that only make sense where the bind's source is. */
const hostOnlyOptions = new Set([
  ...["rprivate", "private", "rshared", "shared", "rslave", "slave", "runbindable", "unbindable"],
  ...["relatime", "norelatime", "strictatime", "bind", "rbind", "rw"],
]);

export function planMounts(mounts: readonly SpecMount[], host: HostPaths): MountPlan {
  const planned: GuestMount[] = [];
  const copies: GuestCopy[] = [];
  for (const mount of mounts) {
    const options = mount.options ?? [];
    const isBind = mount.type === "bind" || options.includes("bind") || options.includes("rbind");
    const { destination } = mount;
    if (!isBind) {
      planned.push({
        source: mount.source ?? mount.type ?? "none",
        destination,
        type: mount.type ?? "none",
        options: options.filter(
          (option) => !hostOnlyOptions.has(option) || option === "strictatime",
        ),
      });
      continue;
    }
    const source = guestSource(mount.source ?? "", destination, host);
    if (source.copy !== undefined) copies.push(...source.copy);
    const kept = options.filter((option) => !hostOnlyOptions.has(option));
    planned.push({
      source: source.path,
      destination,
      type: "bind",
      options: source.recursive ? ["rbind", ...kept] : ["bind", ...kept],
    });
  }
  return { mounts: withSharedMemory(planned), copies: withoutRepeats(copies) };
}

interface Source {
  readonly path: string;
  readonly copy?: readonly GuestCopy[];
  readonly recursive?: boolean;
}

function guestSource(source: string, destination: string, host: HostPaths): Source {
  if (destination === "/dev/shm") return { path: sharedMemoryFolder };
  // The host's kernel interfaces are not the guest's business: the guest's own take their place.
  if (isBelow(source, "/proc") || isBelow(source, "/sys")) return { path: source, recursive: true };
  if (isBelow(source, "/dev") && host.isSpecial(source)) return { path: source };
  const emptyDir = emptyDirPattern.exec(source);
  if (emptyDir !== null) return emptyDirSource(emptyDir[1] as string, emptyDir[2] ?? "");
  const path = sharedPath(source);
  return { path, copy: [{ hostPath: source, guestPath: path, kind: "tree" }] };
}

/** Volume and each folder of a sub path: made empty, then shared by the pod's containers. */
function emptyDirSource(volume: string, subPath: string): Source {
  const parts = subPath.split("/").filter((part) => part !== "");
  const copy = [0, ...parts.map((_, index) => index + 1)].map((count): GuestCopy => {
    const below = parts
      .slice(0, count)
      .map((part) => `/${part}`)
      .join("");
    return { hostPath: volume + below, guestPath: sharedPath(volume) + below, kind: "folder" };
  });
  return { path: (copy.at(-1) as GuestCopy).guestPath, copy };
}

/** The same host path is the same guest path in every container of the pod. */
function sharedPath(hostPath: string): string {
  const digest = createHash("sha256").update(hostPath).digest("hex").slice(0, 12);
  // The name is for people reading `mount` in the guest.
  const name = basename(hostPath)
    .replace(/[^A-Za-z0-9._-]/g, "_")
    .slice(0, 40);
  return `${sharedFolder}/${digest}-${name || "root"}`;
}

/** The pod's containers share one /dev/shm, whatever each spec says about it. */
function withSharedMemory(mounts: readonly GuestMount[]): readonly GuestMount[] {
  return mounts.map((mount) =>
    mount.destination === "/dev/shm"
      ? {
          source: sharedMemoryFolder,
          destination: "/dev/shm",
          type: "bind",
          options: ["bind", "nosuid", "nodev", "noexec"],
        }
      : mount,
  );
}

function withoutRepeats(copies: readonly GuestCopy[]): readonly GuestCopy[] {
  return [...new Map(copies.map((copy) => [copy.guestPath, copy])).values()];
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
