/**
 * From an image's layers to one erofs file, with every owner, device and attribute as the layers say:
 * needs no root, because nothing is unpacked on this machine.
 */
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { imageError } from "../errors.ts";
import { createByteReader } from "./byte-reader.ts";
import { createErofsWriter } from "./erofs-writer.ts";
import { createImageTree } from "./image-tree.ts";
import { readTar } from "./tar-reader.ts";

/** What of an image the node itself reads: who a container's user is. */
const accountFiles = ["etc/passwd", "etc/group"];
// Real ones have some dozen lines.
const maxAccountBytes = 1 << 20;

/**
 * `layers` are tar files, lowest first. Makes the file, and a folder with the image's accounts. Throws
 * IMAGE_INVALID.
 */
export async function packImage(
  layers: readonly string[],
  target: { readonly file: string; readonly accounts: string },
): Promise<void> {
  const file = await open(target.file, "wx+", 0o600);
  try {
    const writer = createErofsWriter(file);
    const tree = createImageTree();
    for (const layer of layers) {
      tree.beginLayer();
      const reader = createByteReader(await unpacked(layer));
      for await (const entry of readTar(reader)) {
        tree.apply(entry, await writer.add(reader.pieces(entry.size)));
      }
    }
    await writer.finish(tree.root);
    await mkdir(target.accounts, { recursive: true, mode: 0o700 });
    for (const path of accountFiles) {
      const found = tree.find(path);
      if (found?.type !== "file" || found.extent.size > maxAccountBytes) continue;
      const copy = join(target.accounts, path);
      await mkdir(dirname(copy), { recursive: true, mode: 0o700 });
      await writeFile(copy, await writer.read(found.extent));
    }
    // Readable for a VMM, which may be another user; the folder keeps others out.
    await file.chmod(0o444);
  } finally {
    await file.close();
  }
}

/** By what the layer is, whatever its media type says. */
async function unpacked(layer: string): Promise<AsyncIterable<Buffer>> {
  const file = await open(layer);
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0).finally(() => file.close());
  const source = createReadStream(layer, { highWaterMark: 1 << 20 });
  if (buffer.readUInt16BE(0) === 0x1f8b) return through(source, createGunzip());
  if (buffer.readUInt32BE(0) !== 0x28b52ffd) return source;
  const zstd = spawn("zstd", ["-dcq"], { stdio: ["pipe", "pipe", "ignore"] });
  source.pipe(zstd.stdin);
  // What it could not read is missed at the end of its output.
  zstd.stdin.on("error", () => source.destroy());
  zstd.once("error", (cause) =>
    zstd.stdout.destroy(
      imageError("IMAGE_TOOL_MISSING", "zstd is not installed", {
        cause,
        hint: "Install the Debian package zstd.",
      }),
    ),
  );
  return zstd.stdout;
}

function through(source: Readable, gunzip: ReturnType<typeof createGunzip>): AsyncIterable<Buffer> {
  source.once("error", (error) => gunzip.destroy(error));
  return source.pipe(gunzip);
}
