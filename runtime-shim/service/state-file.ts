/**
 * `shim.json` in a sandbox's bundle: what `start` was told, for the daemon it starts and for a
 * `delete` that finds the daemon dead. Plain code without zod: `start` must be fast.
 */
import { createHash } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../common/files/atomic-write.ts";

export interface ShimState {
  readonly namespace: string;
  /** The sandbox: all tasks of this shim belong to it. */
  readonly groupId: string;
  readonly bundle: string;
  readonly debug: boolean;
  /** Where events go; absent = nowhere. */
  readonly publishAddress?: string;
  /** Options as the caller gave them, not validated: JSON text. */
  readonly optionsJson?: string;
  /** Folder and common beginning of all sockets of this sandbox. */
  readonly socketPrefix: string;
  readonly logFile?: string;
  readonly logLevel?: string;
  /** Network namespace the tap is in, once there is one. */
  readonly netnsPath?: string;
  readonly podInterface?: string;
  /** Of a VM that was made before the sandbox was known. */
  readonly spareFolders?: readonly string[];
  /** Folders of the VMM's cgroup, deepest first. */
  readonly cgroupFolders?: readonly string[];
}

const fileName = "shim.json";

export function readShimState(bundle: string): ShimState | undefined {
  try {
    return JSON.parse(readFileSync(join(bundle, fileName), "utf8")) as ShimState;
  } catch {
    return undefined;
  }
}

/** Folders that a bundle's sandbox has beside its own; none for a bundle that tells nothing. */
export function spareFoldersOf(bundle: string): readonly string[] {
  return readShimState(bundle)?.spareFolders ?? [];
}

export function writeShimState(state: ShimState): void {
  writeFileAtomic(join(state.bundle, fileName), `${JSON.stringify(state, null, 2)}\n`);
}

// Short, because the kernel takes 107 bytes. Not containerd's own folder, /run/containerd/s: its shims
// make that one without search permission.
const defaultSocketDir = "/run/katasim/s";

/** The same for every container of a pod; 64 bits of a digest keep pods apart. */
export function socketPrefix(
  socketDir: string | undefined,
  address: string,
  namespace: string,
  groupId: string,
): string {
  const digest = createHash("sha256").update(`${address}/${namespace}/${groupId}`).digest("hex");
  return join(socketDir ?? defaultSocketDir, digest.slice(0, 16));
}

/** Every file of a running sandbox outside its bundle; the VMM's own sockets have a folder. */
export function socketPaths(prefix: string) {
  const vmmFolder = `${prefix}.vmm`;
  return {
    task: `${prefix}.task`,
    dial: `${prefix}.dial`,
    folder: `${prefix}.fs`,
    vmmFolder,
    template: `${prefix}.tpl`,
    agent: join(vmmFolder, "a"),
    control: join(vmmFolder, "c"),
  } as const;
}

/** Idempotent. */
export function removeSockets({
  socketPrefix: prefix,
  spareFolders = [],
}: Pick<ShimState, "socketPrefix" | "spareFolders">): void {
  const { task, dial, folder, vmmFolder, template } = socketPaths(prefix);
  for (const path of [task, dial, folder]) rmSync(path, { force: true });
  for (const path of [vmmFolder, template, ...spareFolders]) {
    rmSync(path, { recursive: true, force: true });
  }
}

export const vmmPidFile = "vmm.pid";
export const shimPidFile = "shim.pid";
export const consoleLogFile = "console.log";
/** Where the shared folder's daemon has its mounts; for everybody else it is empty. */
export const sharedFolderName = "shared";
export const writableDiskFile = "writable.ext4";
