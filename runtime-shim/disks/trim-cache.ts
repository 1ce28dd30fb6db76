/** Keeps a folder of packed root file systems within its size: the least recently used go first. */
import { readdirSync, readlinkSync, rmSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";

export interface TrimOptions {
  readonly maxBytes: number;
  readonly keep?: string;
  /** A file used this recently may be on its way to a VM that has not opened it yet. */
  readonly graceMs?: number;
  readonly nowMs?: number;
}

// From the hit to the VMM's open(2) it takes milliseconds, on a crowded machine seconds.
const defaultGraceMs = 120_000;

/** Removes what no process has open, until the rest fits. Answers whether anything was removed. */
export function trimCache(folder: string, options: TrimOptions): boolean {
  const { maxBytes, keep, graceMs = defaultGraceMs, nowMs = Date.now() } = options;
  const files = readdirSync(folder)
    .filter((name) => /\.(erofs|tmp)$/.test(name))
    .map((name) => ({ path: join(folder, name), info: statOf(join(folder, name)) }))
    .filter((file): file is { path: string; info: Stats } => file.info !== undefined)
    .sort((a, b) => a.info.mtimeMs - b.info.mtimeMs);
  let total = files.reduce((sum, { info }) => sum + allocated(info), 0);
  // A packing that was killed leaves its temporary file.
  const leftover = (path: string) => path.endsWith(".tmp");
  const candidates = files.filter(
    ({ path, info }) =>
      path !== keep && info.mtimeMs < nowMs - graceMs && (leftover(path) || total > maxBytes),
  );
  if (candidates.length === 0) return false;
  const open = openInodes();
  let removed = false;
  for (const { path, info } of candidates) {
    if (!leftover(path) && total <= maxBytes) continue;
    // Asked again: another shim may have taken it while we looked.
    const now = statOf(path);
    if (now === undefined || now.mtimeMs !== info.mtimeMs || open.has(inodeKey(info))) continue;
    rmSync(path, { force: true });
    total -= allocated(info);
    removed = true;
  }
  return removed;
}

/** Of regular files that any process of this machine has open; a VMM may know them by another path. */
function openInodes(): ReadonlySet<string> {
  const found = new Set<string>();
  for (const pid of listed("/proc").filter((name) => /^\d+$/.test(name))) {
    const folder = `/proc/${pid}/fd`;
    for (const fd of listed(folder)) {
      try {
        // Sockets and pipes have no path.
        if (!readlinkSync(`${folder}/${fd}`).startsWith("/")) continue;
        const info = statSync(`${folder}/${fd}`);
        if (info.isFile()) found.add(inodeKey(info));
      } catch {
        // It has been closed.
      }
    }
  }
  return found;
}

function inodeKey(info: Stats): string {
  return `${info.dev}:${info.ino}`;
}

function allocated(info: Stats): number {
  return info.blocks * 512;
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
