/**
 * Writes a volume's files so that a reader sees the old set or the new one, never a mixture:
 * kubernetes pkg/volume/util/atomic_writer.go. Files live in a timestamped folder, `..data` links to
 * it and is replaced by rename; the names users see link through `..data`.
 */
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { agentError } from "../errors.ts";
import { giveToGroup } from "./group.ts";

export interface PayloadFile {
  readonly data: Buffer;
  /** Permission bits. */
  readonly mode: number;
}

/** Relative path → file. */
export type Payload = ReadonlyMap<string, PayloadFile>;

const dataLink = "..data";

/** Answers whether anything was written. `groupId` is the pod's fsGroup. */
export async function writeAtomically(
  folder: string,
  payload: Payload,
  groupId?: number,
): Promise<boolean> {
  for (const path of payload.keys()) assertSafePath(path);
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const before = await readlink(join(folder, dataLink)).catch(() => undefined);
  if (before !== undefined && (await holds(join(folder, before), payload, groupId))) return false;

  const fresh = await mkdtemp(join(folder, `..${timestamp()}.`));
  await chmod(fresh, 0o755);
  for (const [path, file] of payload) {
    const target = join(fresh, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await writeFile(target, file.data);
    await chmod(target, groupMode(file.mode, groupId));
    await giveToGroup(target, groupId);
  }
  const temporary = join(folder, "..data_tmp");
  await rm(temporary, { force: true });
  await symlink(fresh.slice(folder.length + 1), temporary);
  await rename(temporary, join(folder, dataLink));

  const visible = new Set([...payload.keys()].map((path) => path.split("/")[0] ?? path));
  for (const name of visible) {
    const link = join(folder, name);
    if ((await readlink(link).catch(() => undefined)) === undefined) {
      await symlink(`${dataLink}/${name}`, link);
    }
  }
  for (const name of await readdir(folder)) {
    if (!name.startsWith("..") && !visible.has(name)) await rm(join(folder, name), { force: true });
  }
  if (before !== undefined) await rm(join(folder, before), { recursive: true, force: true });
  return true;
}

// kubelet volume_linux.go: with an fsGroup, group members may read what the owner may.
function groupMode(mode: number, groupId: number | undefined): number {
  return groupId === undefined ? mode : mode | 0o440;
}

async function holds(folder: string, payload: Payload, groupId?: number): Promise<boolean> {
  const present = await filesBelow(folder).catch(() => undefined);
  if (present === undefined || present.length !== payload.size) return false;
  for (const [path, file] of payload) {
    const target = join(folder, path);
    const stats = await lstat(target).catch(() => undefined);
    if (!stats?.isFile() || (stats.mode & 0o7777) !== groupMode(file.mode, groupId)) return false;
    if (stats.size !== file.data.length || !(await readFile(target)).equals(file.data))
      return false;
  }
  return true;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
}

function timestamp(): string {
  return new Date().toISOString().slice(0, 19).replace(/[-T:]/g, "_");
}

function assertSafePath(path: string): void {
  const parts = path.split("/");
  if (path === "" || path.startsWith("/") || path.startsWith("..") || parts.includes("..")) {
    throw agentError(
      "VOLUME_SETUP",
      `invalid path: ${JSON.stringify(path)} must be relative and must not contain '..'`,
    );
  }
}
