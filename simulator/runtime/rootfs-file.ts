/**
 * Reads small files out of an image's root without ever leaving it: symbolic links in an image are
 * the image author's words, so they are followed inside the root only (as openat2 RESOLVE_IN_ROOT).
 */
import { lstat, open, readlink } from "node:fs/promises";
import { join } from "node:path";

// Linux' own limit (MAXSYMLINKS).
const maxLinks = 40;
// /etc/passwd of any sane image is a few KiB; this bounds what a hostile one makes us read.
const maxBytes = 1024 * 1024;

/** Real path of `path` inside `root`; undefined when a part is missing or links go in circles. */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
  const pending = path.split("/").reverse();
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop() ?? "";
    if (part === "" || part === ".") continue;
    if (part === "..") {
      resolved.pop();
      continue;
    }
    const current = join(root, ...resolved, part);
    const info = await lstat(current).catch(() => undefined);
    if (info === undefined) return undefined;
    if (!info.isSymbolicLink()) {
      resolved.push(part);
      continue;
    }
    if (++links > maxLinks) return undefined;
    const target = await readlink(current);
    if (target.startsWith("/")) resolved.length = 0;
    pending.push(...target.split("/").reverse());
  }
  return join(root, ...resolved);
}

/** Empty when there is no such regular file. */
export async function readInRoot(root: string, path: string): Promise<string> {
  const real = await resolveInRoot(root, path);
  if (real === undefined) return "";
  const info = await lstat(real).catch(() => undefined);
  if (info?.isFile() !== true) return "";
  const file = await open(real, "r");
  try {
    const buffer = Buffer.alloc(Math.min(info.size, maxBytes));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}
