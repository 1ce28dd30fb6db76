/**
 * A digest of what a file holds, the same wherever it lies: a hole is as good as zeros, for copies lose
 * and gain holes, and on a tmpfs a clone that reads fills them. A guest's memory is mostly holes, so they
 * are not read: tar tells where they are, in the sparse format 1.0 of GNU tar's manual ("Storing Sparse
 * Files"), whose map of parts is text. Node cannot ask the kernel (lseek(2), SEEK_DATA).
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { programPath } from "../../common/process/run-program.ts";

/** Of a file: what is between two holes. */
export interface Part {
  readonly begin: number;
  readonly end: number;
}

const pageBytes = 4_096;
const chunkBytes = 256 * pageBytes;
const zeroPage = Buffer.alloc(pageBytes);

/** Rejects, naming the file, when it cannot be read. */
export async function contentDigest(path: string): Promise<string> {
  try {
    const parts = await partsOf(path);
    const file = await open(path, "r");
    try {
      return await digestOf(file, parts);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
}

async function digestOf(file: FileHandle, parts: readonly Part[] | undefined): Promise<string> {
  const { size } = await file.stat();
  const hash = createHash("sha256").update(`${size}\n`);
  const chunk = Buffer.alloc(chunkBytes);
  let done = 0;
  for (const { begin, end } of parts ?? [{ begin: 0, end: size }]) {
    // Whole pages: where a part begins is the file system's affair.
    done = Math.max(done, begin - (begin % pageBytes));
    while (done < end) {
      const { bytesRead } = await file.read(chunk, 0, chunkBytes, done);
      if (bytesRead === 0) break;
      for (let at = 0; at < bytesRead; at += pageBytes) {
        const page = chunk.subarray(at, Math.min(at + pageBytes, bytesRead));
        if (page.equals(zeroPage.subarray(0, page.length))) continue;
        hash.update(`${done + at}\n`).update(page);
      }
      done += bytesRead;
    }
  }
  return hash.digest("hex");
}

/** Where a file has content, in order; undefined for one without holes. */
export async function partsOf(path: string): Promise<readonly Part[] | undefined> {
  const format = ["--create", "--sparse", "--format=posix", "--sparse-version=1.0"];
  const child = spawn("tar", [...format, `--directory=${dirname(path)}`, "--", basename(path)], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: programPath(), LC_ALL: "C" },
  });
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  failed.catch(() => {});
  let head = Buffer.alloc(0);
  const read = async () => {
    for await (const bytes of child.stdout) {
      head = Buffer.concat([head, bytes]);
      const parts = partsIn(head);
      if (parts !== "more") return parts;
    }
    throw new Error(said.trim() || "tar says nothing of it");
  };
  try {
    return await Promise.race([read(), failed]);
  } finally {
    // The content would follow.
    child.kill("SIGKILL");
  }
}

const blockBytes = 512;

/** "more" when the beginning of the archive ends before the map does. */
function partsIn(archive: Buffer): readonly Part[] | undefined | "more" {
  if (archive.length < blockBytes) return "more";
  // Type and size of an entry: "Basic Tar Format" of the same manual.
  if (archive.toString("latin1", 156, 157) !== "x") return undefined;
  const extendedBytes = Number.parseInt(archive.toString("latin1", 124, 135), 8);
  const extended = archive.toString("utf8", blockBytes, blockBytes + extendedBytes);
  const mapAt = blockBytes * (2 + Math.ceil(extendedBytes / blockBytes));
  if (archive.length < mapAt) return "more";
  if (!extended.includes(" GNU.sparse.major=1\n")) return undefined;
  const lines = archive.toString("latin1", mapAt).split("\n");
  const count = Number(lines[0]);
  // What is behind the last newline may be half a number.
  if (lines.length < 2 * count + 2) return "more";
  return Array.from({ length: count }, (_, part) => {
    const begin = Number(lines[1 + 2 * part]);
    return { begin, end: begin + Number(lines[2 + 2 * part]) };
  });
}
