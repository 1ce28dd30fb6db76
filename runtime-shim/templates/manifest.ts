/**
 * `template.json`: what a template is of, and what its files were when it was made. A file that is no
 * longer the same inode with the same times is read whole and compared by its digest.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../common/files/atomic-write.ts";
import { contentDigest } from "./content-digest.ts";

const manifestFile = "template.json";

const FileSchema = z.object({
  name: z.string().regex(/^[\w.-]+$/),
  /** Inode, size, and times of the last change of content and of attributes: nobody can set the latter. */
  identity: z.string(),
  sha256: z.string(),
});

const ManifestSchema = z.object({
  key: z.string(),
  inputs: z.looseObject({
    rung: z.string(),
    vcpus: z.number(),
    memoryMib: z.number(),
    most: z.object({ vcpus: z.number(), memoryMib: z.number() }).optional(),
    nic: z.string(),
  }),
  kernelRelease: z.string(),
  madeAtMs: z.number(),
  /** What it took to boot and save it. */
  madeInMs: z.number(),
  files: z.array(FileSchema).min(1),
});

export type TemplateManifest = z.infer<typeof ManifestSchema>;

/** Undefined for a folder without a readable one. */
export function readManifest(folder: string): TemplateManifest | undefined {
  try {
    return ManifestSchema.parse(JSON.parse(readFileSync(join(folder, manifestFile), "utf8")));
  } catch {
    return undefined;
  }
}

/** For a folder whose files are whole; they are on the disk afterwards. */
export async function writeManifest(
  folder: string,
  facts: Omit<TemplateManifest, "files">,
): Promise<TemplateManifest> {
  const names = readdirSync(folder).sort();
  const files: TemplateManifest["files"] = [];
  for (const name of names) {
    const path = join(folder, name);
    flush(path);
    files.push({
      name,
      identity: identityOf(path),
      sha256: await contentDigest(join(folder, name)),
    });
  }
  const manifest = { ...facts, files };
  writeFileAtomic(join(folder, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`, {
    mode: 0o644,
    durable: true,
  });
  return manifest;
}

/** Undefined for one that may be used; else what is wrong with it. `deep`: whatever the times say. */
export async function findDamage(
  folder: string,
  manifest: TemplateManifest,
  deep = false,
): Promise<string | undefined> {
  let moved = false;
  for (const { name, identity, sha256 } of manifest.files) {
    let now: string;
    try {
      now = identityOf(join(folder, name));
    } catch {
      return `${name} is missing`;
    }
    if (now === identity && !deep) continue;
    if ((await contentDigest(join(folder, name))) !== sha256) return `${name} has changed`;
    moved ||= now !== identity;
  }
  // Copied with its content whole, from another machine's cache for one.
  if (moved) await rewriteIdentities(folder, manifest);
  return undefined;
}

/** Notes the use, for whoever looks for the least recently used. */
export function noteUse(folder: string): void {
  const now = new Date();
  try {
    utimesSync(join(folder, manifestFile), now, now);
  } catch {
    // Removed a moment ago, or another user's: its files may still be used.
  }
}

export function usedAtMs(folder: string): number {
  return statSync(join(folder, manifestFile)).mtimeMs;
}

function rewriteIdentities(folder: string, manifest: TemplateManifest): void {
  const files = manifest.files.map((file) => ({
    ...file,
    identity: identityOf(join(folder, file.name)),
  }));
  const text = `${JSON.stringify({ ...manifest, files }, null, 2)}\n`;
  try {
    writeFileAtomic(join(folder, manifestFile), text, { mode: 0o644 });
  } catch {
    // Another user's folder: then it is compared each time.
  }
}

function identityOf(path: string): string {
  const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}

function flush(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
