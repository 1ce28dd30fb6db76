/**
 * Packed root file systems shared by all sandboxes of this machine. A file is named by the state of
 * the tree it was made from, so it cannot be stale: any write to a layer makes another name.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { runProgram } from "../../common/process/run-program.ts";
import { hasCode, shimError } from "../errors.ts";
import { mkfsOptions, packRoot } from "./pack-root.ts";
import type { PackedTree } from "./root-tree.ts";
import { trimCache } from "./trim-cache.ts";

export interface RootfsCache {
  /**
   * The packed tree's file, made now or earlier; undefined when the tree is being written to and so
   * cannot be shared. Rejects with BAD_ROOTFS, DISK or ROOTFS_SPACE.
   */
  fileOf(tree: PackedTree, workDir: string): Promise<string | undefined>;
}

export interface RootfsCacheOptions {
  readonly folder: string;
  readonly maxBytes: number;
}

export function createRootfsCache({ folder, maxBytes }: RootfsCacheOptions): RootfsCache {
  return {
    async fileOf(tree, workDir) {
      makeFolder(folder);
      const command = fingerprintCommand(tree);
      const fingerprint = await fingerprintOf(command);
      const key = keyOf(tree, fingerprint);
      const file = join(folder, `${key}.erofs`);
      if (touch(file)) return file;
      const pack = () =>
        packRoot(tree, file, workDir, {
          // Packings of different images run side by side; sixteen lock files need no removing.
          lockFile: join(folder, `lock-${key[0]}`),
          temporary: join(folder, `${key}.tmp`),
          fingerprintCommand: command,
          fingerprint,
        });
      let outcome: Awaited<ReturnType<typeof pack>>;
      try {
        outcome = await pack();
      } catch (error) {
        // What nobody uses gives way, whatever the limit.
        if (!hasCode(error, "ROOTFS_SPACE") || !trimCache(folder, { maxBytes: 0 })) throw error;
        outcome = await pack();
      }
      if (outcome === "changed") return undefined;
      touch(file);
      trimCache(folder, { maxBytes, keep: file });
      return file;
    },
  };
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw shimError("DISK", `cannot make the folder ${folder}: ${messageOf(cause)}`, {
      cause,
      hint: "give the runtime's options another rootfsCacheDir",
    });
  }
}

/**
 * Prints a digest of every inode's identity and times. Contents, attributes, names and extended
 * attributes cannot change without a new ctime somewhere, and nobody can set a ctime. Paths alone
 * would not do: containerd gives snapshot ids, and the kernel inode numbers, a second time.
 */
function fingerprintCommand(tree: PackedTree): string {
  const folders = tree.kind === "layers" ? tree.lower : tree.kind === "folder" ? [tree.path] : [];
  const quoted = folders.map((path) => `'${path.replaceAll("'", `'\\''`)}'`).join(" ");
  const fields = "%d %D %i %y %n %m %U %G %s %T@ %C@\\n";
  return `list=$(find ${quoted} -xdev -printf '${fields}') && printf %s "$list" | sha256sum`;
}

async function fingerprintOf(command: string): Promise<string> {
  const outcome = await runProgram("sh", ["-c", command], { timeoutMs: 300_000 });
  if (outcome.ok) return outcome.stdout.trim();
  throw shimError("BAD_ROOTFS", `cannot read the root file system: ${outcome.stderr}`);
}

function keyOf(tree: PackedTree, fingerprint: string): string {
  const facts: unknown[] = [fingerprint, tree.kind, mkfsOptions];
  if (tree.kind === "layers") {
    facts.push(tree.options);
    if (tree.upper !== undefined) {
      const { uid, gid, mode } = statSync(tree.upper);
      facts.push([uid, gid, mode]);
    }
  }
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 40);
}

/** Notes the use, so that the file is not the next to go; false when there is none. */
function touch(file: string): boolean {
  const now = new Date();
  try {
    utimesSync(file, now, now);
  } catch {
    return false;
  }
  return existsSync(file);
}
