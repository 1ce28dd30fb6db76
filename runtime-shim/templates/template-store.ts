/**
 * Templates on disk: a folder each, named by its key, made whole under another name first. Clones only
 * read them; one that is removed lives on in the VMs that have its memory mapped.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { holdFileLock } from "../../common/process/file-lock.ts";
import { isAlive, readPidFile, writePidFile } from "../../common/process/process-identity.ts";
import { shimError } from "../errors.ts";
import {
  findDamage,
  noteUse,
  readManifest,
  type TemplateManifest,
  usedAtMs,
  writeManifest,
} from "./manifest.ts";

export interface Template {
  readonly folder: string;
  readonly manifest: TemplateManifest;
}

export interface StoredTemplate {
  readonly key: string;
  readonly folder: string;
  /** Absent for what is no template. */
  readonly manifest?: TemplateManifest;
  /** What it takes on the disk. */
  readonly bytes: number;
  readonly usedAtMs: number;
}

export type MakeTemplate = (
  folder: string,
) => Promise<Omit<TemplateManifest, "files" | "key" | "madeInMs" | "madeAtMs">>;

export interface TemplateStore {
  /** One that is whole; a damaged one is removed. */
  find(key: string): Promise<Template | undefined>;
  /**
   * The same, or made now by `make`, which fills an empty folder: once, however many ask, in whatever
   * process. Rejects with what `make` rejects with, with DISK or TEMPLATE_BUSY.
   */
  obtain(key: string, make: MakeTemplate): Promise<Template>;
  list(): readonly StoredTemplate[];
  /** Reads all of it. Undefined, or what is wrong with it. */
  verify(key: string): Promise<string | undefined>;
  /** Idempotent. */
  remove(key: string): void;
  /** Removes what is left of makers that were killed, and the least recently used beyond the limit. */
  trim(keep?: string): readonly string[];
}

export interface TemplateStoreOptions {
  readonly folder: string;
  readonly maxBytes: number;
  readonly log: Logger;
}

// A boot takes seconds, a minute on a machine with many others.
const lockTimeoutMs = 180_000;
const makingPrefix = "making-";
const makerPidFile = "maker.pid";
const keyPattern = /^[0-9a-f]{20}$/;

export function createTemplateStore({
  folder,
  maxBytes,
  log,
}: TemplateStoreOptions): TemplateStore {
  const folderOf = (key: string) => join(folder, key);

  const find = async (key: string): Promise<Template | undefined> => {
    const path = folderOf(key);
    if (!existsSync(path)) return undefined;
    const manifest = readManifest(path);
    const damage =
      manifest === undefined
        ? "it has no manifest"
        : manifest.key !== key
          ? "it is another template's copy"
          : await findDamage(path, manifest).catch(messageOf);
    if (manifest !== undefined && damage === undefined) {
      noteUse(path);
      return { folder: path, manifest };
    }
    log.warn({ template: key, damage }, "a damaged template is removed");
    removeFolder(path);
    return undefined;
  };

  const make = async (key: string, fill: MakeTemplate): Promise<Template> => {
    const startedAtMs = performance.now();
    const making = mkdtempSync(join(folder, makingPrefix));
    const content = join(making, key);
    try {
      writePidFile(join(making, makerPidFile), process.pid);
      mkdirSync(content, { mode: 0o755 });
      const facts = await fill(content);
      const madeInMs = Math.round(performance.now() - startedAtMs);
      const manifest = await writeManifest(content, {
        ...{ ...facts, key, madeAtMs: Date.now(), madeInMs },
      });
      renameSync(content, folderOf(key));
      log.info({ template: key, madeInMs }, "template made");
      return { folder: folderOf(key), manifest };
    } finally {
      removeFolder(making);
    }
  };

  const list = (): readonly StoredTemplate[] =>
    listed(folder)
      .filter((name) => keyPattern.test(name))
      .flatMap((key) => {
        const path = folderOf(key);
        const manifest = readManifest(path);
        try {
          const usedAt = manifest === undefined ? statSync(path).mtimeMs : usedAtMs(path);
          const facts = { key, folder: path, bytes: allocatedBytes(path), usedAtMs: usedAt };
          return [{ ...facts, ...(manifest === undefined ? {} : { manifest }) }];
        } catch {
          // Removed meanwhile.
          return [];
        }
      })
      .sort((a, b) => b.usedAtMs - a.usedAtMs);

  const trim = (keep?: string): readonly string[] => {
    const removed: string[] = [];
    const take = (name: string) => {
      removeFolder(join(folder, name));
      removed.push(name);
    };
    for (const name of listed(folder)) {
      if (name.startsWith(makingPrefix) && !isBeingMade(join(folder, name))) take(name);
    }
    let total = 0;
    for (const { key, bytes } of list()) {
      total += bytes;
      if (total > maxBytes && key !== keep) take(key);
    }
    return removed;
  };

  return {
    find,
    list,
    trim,
    remove: (key) => removeFolder(folderOf(key)),
    async verify(key) {
      const manifest = readManifest(folderOf(key));
      if (manifest === undefined) return "it has no manifest";
      return findDamage(folderOf(key), manifest, true).catch(messageOf);
    },
    async obtain(key, fill) {
      const ready = await find(key);
      if (ready !== undefined) return ready;
      makeFolder(folder);
      const lock = await holdFileLock(join(folder, `${key}.lock`), lockTimeoutMs);
      if (lock === undefined) {
        const words = `template ${key} has been made by another process for ${lockTimeoutMs / 1000} s`;
        throw shimError("TEMPLATE_BUSY", words);
      }
      try {
        // Whoever held the lock before has made it.
        const theirs = await find(key);
        if (theirs !== undefined) return theirs;
        const own = await make(key, fill);
        trim(key);
        return own;
      } finally {
        lock.release();
      }
    },
  };
}

/** Its memory is mapped copy on write: VMs that run on it keep it until they end. */
function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  } catch (cause) {
    throw shimError("DISK", `cannot make the folder ${folder}: ${messageOf(cause)}`, { cause });
  }
}

function isBeingMade(path: string): boolean {
  const maker = readPidFile(join(path, makerPidFile));
  // A folder that was made this moment has no maker's file yet.
  if (maker === undefined) return Date.now() - mtimeMs(path) < 60_000;
  return isAlive(maker);
}

function mtimeMs(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function allocatedBytes(folder: string): number {
  return listed(folder).reduce((sum, name) => sum + statSync(join(folder, name)).blocks * 512, 0);
}
