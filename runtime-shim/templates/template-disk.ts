/**
 * The disk of a template's guest: empty, and mounted, so that no clone has to find and mount one for its
 * first container. Each clone goes on with a copy of its own.
 */
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { messageOf } from "../../common/errors.ts";
import { closeToVmm } from "../confinement/vmm-place.ts";
import { createWritableDisk } from "../disks/writable-disk.ts";
import { shimError } from "../errors.ts";
import type { Disk } from "../hypervisors/hypervisor.ts";
import { type Part, partsOf } from "./content-digest.ts";

/** Of the disk that a VM has before any container, wherever it comes from. */
export const firstDiskSerial = "first";

const diskFile = "writable.ext4";
/** Where the disk has content: a copy is to be as sparse, and a start has no time to look for holes. */
const partsFile = "writable-parts.json";

const PartsSchema = z.object({
  bytes: z.number(),
  parts: z.array(z.object({ begin: z.number(), end: z.number() })),
});

/** Rejects with DISK. */
export async function makeTemplateDisk(folder: string): Promise<Disk> {
  const disk = { serial: firstDiskSerial, path: join(folder, diskFile), readOnly: false };
  await createWritableDisk(disk.path);
  return disk;
}

/** The VM does not use it any more: from now on nobody writes. */
export async function closeTemplateDisk({ path }: Disk): Promise<void> {
  closeToVmm(path);
  const { size: bytes } = statSync(path);
  const parts = (await partsOf(path)) ?? [{ begin: 0, end: bytes }];
  writeFileSync(join(dirname(path), partsFile), JSON.stringify({ bytes, parts }), { mode: 0o444 });
}

/** Rejects with DISK; leaves no file then. */
export async function copyTemplateDisk(folder: string, path: string): Promise<Disk> {
  try {
    const map = PartsSchema.parse(JSON.parse(readFileSync(join(folder, partsFile), "utf8")));
    const from = await open(join(folder, diskFile));
    try {
      const to = await open(path, "w", 0o600);
      try {
        await to.truncate(map.bytes);
        for (const part of map.parts) await copyPart(from, to, part);
      } finally {
        await to.close();
      }
    } finally {
      await from.close();
    }
  } catch (cause) {
    rmSync(path, { force: true });
    throw shimError("DISK", `cannot make ${path}: ${messageOf(cause)}`, { cause });
  }
  return { serial: firstDiskSerial, path, readOnly: false };
}

const chunkBytes = 1 << 20;

async function copyPart(from: FileHandle, to: FileHandle, { begin, end }: Part): Promise<void> {
  for (let at = begin; at < end; at += chunkBytes) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - at));
    const { bytesRead } = await from.read(chunk, 0, chunk.length, at);
    let done = 0;
    while (done < bytesRead) {
      done += (await to.write(chunk, done, bytesRead - done, at + done)).bytesWritten;
    }
  }
}
