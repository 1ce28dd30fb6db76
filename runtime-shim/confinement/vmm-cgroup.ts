/**
 * The cgroup a VMM runs in on the host: what its guest does beyond the pod's size costs the pod alone.
 * Both versions of the kernel's interface (Documentation/admin-guide/cgroup-v1, cgroup-v2.rst).
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { shimError } from "../errors.ts";

export interface VmmLimits {
  /** Thousandths of a core. */
  readonly cpuMillis: number;
  readonly memoryMib: number;
}

export interface VmmCgroup {
  /** As in /proc/<pid>/cgroup. */
  readonly path: string;
  readonly limits: VmmLimits;
  /** Throws, with the limits as they were, when the kernel does not take them. */
  setLimits(limits: VmmLimits): void;
  /** What was made for it, deepest first: for `removeVmmCgroup`. */
  readonly folders: readonly string[];
  /** Moves a process with all its threads; throws when the kernel does not take it. */
  add(pid: number): void;
  /** Whether a process was moved: only then do the limits hold for anybody. */
  readonly isUsed: boolean;
  /** How often the kernel killed in it for lack of memory. */
  oomKills(): number;
}

const root = "/sys/fs/cgroup";
const periodUs = 100_000;
// QEMU has a thread for each vCPU and at most 64 for I/O; forks are forbidden by its seccomp filter.
const maxTasks = 512;

/**
 * `path` is the sandbox's `linux.cgroupsPath`. Throws when cgroups cannot be written; leaves nothing then.
 * `note` is told the folders before there are any: whoever is killed half-way leaves no stranger.
 */
export function createVmmCgroup(
  path: string,
  limits: VmmLimits,
  note: (folders: readonly string[]) => void = () => {},
): VmmCgroup {
  const unified = existsSync(join(root, "cgroup.controllers"));
  const trees = unified ? [root] : ["cpu", "memory", "pids"].map((name) => join(root, name));
  const folders = trees.flatMap((tree) => missingFolders(tree, path));
  const made: string[] = [];
  try {
    note([...folders].reverse());
    for (const folder of folders) {
      // A folder's controllers are those its parent hands down; one that has them already refuses.
      if (unified) enableControllers(dirname(folder));
      if (makeFolder(folder)) made.push(folder);
    }
    for (const [file, value] of settings(path, limits, unified)) writeFileSync(file, value);
  } catch (error) {
    removeFolders(made);
    throw error;
  }
  const eventsFile = unified
    ? join(root, path, "memory.events")
    : join(root, "memory", path, "memory.oom_control");
  let isUsed = false;
  let held = limits;
  const write = (wanted: VmmLimits) => {
    for (const [file, value] of settings(path, wanted, unified)) writeFileSync(file, value);
  };
  return {
    path,
    get limits() {
      return held;
    },
    setLimits(wanted) {
      try {
        write(wanted);
      } catch (error) {
        write(held);
        throw error;
      }
      held = wanted;
    },
    folders: [...made].reverse(),
    get isUsed() {
      return isUsed;
    },
    add(pid) {
      for (const tree of trees) writeFileSync(join(tree, path, "cgroup.procs"), String(pid));
      isUsed = true;
    },
    oomKills() {
      try {
        return Number(/^oom_kill (\d+)$/m.exec(readFileSync(eventsFile, "utf8"))?.[1] ?? 0);
      } catch {
        return 0;
      }
    },
  };
}

/** Waits until what was killed has left it. Idempotent. */
export async function removeVmmCgroup(folders: readonly string[]): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if (removeFolders(folders)) return;
    await sleep(20);
  }
}

/**
 * The path of the spec, if it is one of folders; systemd's own notation (slice:prefix:name) is not.
 * Throws BAD_BUNDLE for one that leads out of its own folder.
 */
export function vmmCgroupPath(cgroupsPath: string | null | undefined, sandboxId: string): string {
  if (cgroupsPath?.split("/").includes("..")) {
    throw shimError(
      "BAD_BUNDLE",
      `linux.cgroupsPath of the spec must not hold "..": ${cgroupsPath}`,
    );
  }
  return cgroupsPath?.startsWith("/") && !cgroupsPath.includes(":")
    ? cgroupsPath
    : `/katasim/${sandboxId}`;
}

/** False for one that another sandbox of the same parent has made meanwhile. */
function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** The upper ones first. */
function missingFolders(tree: string, path: string): readonly string[] {
  const missing: string[] = [];
  for (let folder = join(tree, path); !existsSync(folder); folder = dirname(folder)) {
    missing.unshift(folder);
  }
  return missing;
}

function enableControllers(folder: string): void {
  try {
    writeFileSync(join(folder, "cgroup.subtree_control"), "+cpu +memory +pids");
  } catch {
    // The files that are missing then tell.
  }
}

function settings(
  path: string,
  { cpuMillis, memoryMib }: VmmLimits,
  unified: boolean,
): ReadonlyArray<readonly [file: string, value: string]> {
  const quotaUs = Math.round((cpuMillis * periodUs) / 1000);
  const bytes = String(memoryMib * 2 ** 20);
  return unified
    ? [
        [join(root, path, "cpu.max"), `${quotaUs} ${periodUs}`],
        [join(root, path, "memory.max"), bytes],
        [join(root, path, "pids.max"), String(maxTasks)],
      ]
    : [
        [join(root, "cpu", path, "cpu.cfs_period_us"), String(periodUs)],
        [join(root, "cpu", path, "cpu.cfs_quota_us"), String(quotaUs)],
        [join(root, "memory", path, "memory.limit_in_bytes"), bytes],
        [join(root, "pids", path, "pids.max"), String(maxTasks)],
      ];
}

/** Whether the deepest are gone; a parent that others use by now stays. */
function removeFolders(folders: readonly string[]): boolean {
  let gone = true;
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EBUSY" && !folders.some((other) => other.startsWith(`${folder}/`)))
        gone = false;
    }
  }
  return gone;
}
