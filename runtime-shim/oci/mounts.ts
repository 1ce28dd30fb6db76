/**
 * A spec's mounts as the guest is to make them, and what it needs of the host for them. Pure: what has
 * to be known of the host is asked through `HostPaths`. Rules: kata-containers container.go
 * mountSharedDirMounts; the kubelet's folders are known by their names, as there.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { disksFolder, sharedFolder, sharedMemoryFolder } from "../guest-client/protocol.ts";
import type { SpecMount } from "./spec.ts";

export interface GuestMount {
  readonly source: string;
  readonly destination: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Something of the host the guest must get before the container can be made. */
export interface GuestSource {
  readonly hostPath: string;
  readonly guestPath: string;
  /**
   * - copy: a file or folder, copied once.
   * - live: a volume of the kubelet's atomic writer, copied whenever it changes.
   * - message: a file the container tells its last words in: copied, and read back when it ends.
   * - volume: an emptyDir, a file system of the guest's own.
   * - folder: a folder in such a volume, made empty with the host's mode and owner.
   * - share: anything else, shared while both sides go on.
   */
  readonly kind: "copy" | "live" | "message" | "volume" | "folder" | "share";
  /** Of a share: no mount of it may write. */
  readonly readOnly?: boolean;
}

export interface HostPaths {
  /** Whether the host has something other than a regular file there. */
  isSpecial(path: string): boolean;
  /** Where a path that is a bind mount of the kubelet's (a subPath) comes from; else the path. */
  origin(path: string): string;
}

export interface MountPlan {
  readonly mounts: readonly GuestMount[];
  readonly sources: readonly GuestSource[];
}

/** The tag and the name of the shared folder's file system in the guest. */
export const shareTag = "katasim-shared";

const emptyDirPattern = /^(.*\/kubernetes\.io~empty-dir\/[^/]+)(\/.*)?$/;
const atomicPattern = /\/kubernetes\.io~(?:configmap|secret|projected|downward-api)\/[^/]+(\/.*)?$/;
// kubelet_getters.go getPodContainerDir, kuberuntime_container.go: a hash of 8 digits for each attempt.
const messagePattern = /\/pods\/[^/]+\/containers\/[^/]+\/[0-9a-f]{8}$/;
/** What every container gets from its engine: small files that are written once. */
const engineFiles = new Set(["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]);

/** Options that only make sense where the bind's source is. */
const hostOnlyOptions = new Set([
  ...["rprivate", "private", "rshared", "shared", "rslave", "slave", "runbindable", "unbindable"],
  ...["relatime", "norelatime", "strictatime", "bind", "rbind", "rw"],
]);

export function planMounts(mounts: readonly SpecMount[], host: HostPaths): MountPlan {
  const planned: GuestMount[] = [];
  const sources: GuestSource[] = [];
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
    const source = guestSource(mount, host);
    sources.push(...(source.needs ?? []));
    const kept = options.filter((option) => !hostOnlyOptions.has(option));
    planned.push({
      source: source.path,
      destination,
      type: "bind",
      options: source.recursive ? ["rbind", ...kept] : ["bind", ...kept],
    });
  }
  return { mounts: withSharedMemory(planned), sources: withoutRepeats(sources) };
}

interface Source {
  readonly path: string;
  readonly needs?: readonly GuestSource[];
  readonly recursive?: boolean;
}

function guestSource({ source = "", destination, options }: SpecMount, host: HostPaths): Source {
  const given = source ?? "";
  if (destination === "/dev/shm") return { path: sharedMemoryFolder };
  // The host's kernel interfaces are not the guest's business: the guest's own take their place.
  if (isBelow(given, "/proc") || isBelow(given, "/sys")) return { path: given, recursive: true };
  if (isBelow(given, "/dev") && host.isSpecial(given)) return { path: given };
  const origin = host.origin(given);
  const emptyDir = emptyDirPattern.exec(origin);
  if (emptyDir !== null) return emptyDirSource(emptyDir[1] as string, emptyDir[2] ?? "");
  const one = (kind: GuestSource["kind"]): Source => {
    const guestPath = sharedPath(given);
    return { path: guestPath, needs: [{ hostPath: given, guestPath, kind }] };
  };
  const atomic = atomicPattern.exec(origin);
  // A sub path stays as it was when its container was made, as with the kubelet.
  if (atomic !== null) return one(atomic[1] === undefined && origin === given ? "live" : "copy");
  if (messagePattern.test(given)) return one("message");
  if (engineFiles.has(destination)) return one("copy");
  const readOnly = (options ?? []).includes("ro");
  const path = `${disksFolder}/${shareTag}/${pathName(given)}${readOnly ? "-ro" : ""}`;
  return { path, needs: [{ hostPath: given, guestPath: path, kind: "share", readOnly }] };
}

/** The volume and each folder of a sub path: shared by the pod's containers. */
function emptyDirSource(volume: string, subPath: string): Source {
  const parts = subPath.split("/").filter((part) => part !== "");
  const needs = [0, ...parts.map((_, index) => index + 1)].map((count): GuestSource => {
    const below = parts
      .slice(0, count)
      .map((part) => `/${part}`)
      .join("");
    const kind = count === 0 ? "volume" : "folder";
    return { hostPath: volume + below, guestPath: sharedPath(volume) + below, kind };
  });
  return { path: (needs.at(-1) as GuestSource).guestPath, needs };
}

/** The same host path is the same guest path in every container of the pod. */
function sharedPath(hostPath: string): string {
  return `${sharedFolder}/${pathName(hostPath)}`;
}

function pathName(hostPath: string): string {
  const digest = createHash("sha256").update(hostPath).digest("hex").slice(0, 12);
  // The name is for people reading `mount` in the guest.
  const name = basename(hostPath)
    .replace(/[^A-Za-z0-9._-]/g, "_")
    .slice(0, 40);
  return `${digest}-${name || "root"}`;
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

function withoutRepeats(sources: readonly GuestSource[]): readonly GuestSource[] {
  return [...new Map(sources.map((source) => [source.guestPath, source])).values()];
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
