/**
 * Writes an erofs file: contents first, as they come, then folders, then inodes, last the superblock, so
 * that a file that was cut short is none. Uncompressed, every inode in its long form (the kernel's
 * Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h).
 */
import type { FileHandle } from "node:fs/promises";
import { type Extent, fileTypes, type TreeNode } from "./image-tree.ts";

const blockBytes = 4096;
const slotBytes = 32;
const inodeBytes = 64;
const direntBytes = 12;
const superblockOffset = 1024;
const magic = 0xe0f5e1e2;
const layout = { plain: 0, inline: 2 } as const;

const direntTypes: Readonly<Record<TreeNode["type"], number>> = {
  ...{ file: 1, directory: 2, "character-device": 3, "block-device": 4, fifo: 5, symlink: 7 },
};

export interface ErofsWriter {
  /** Appends a file's content. */
  add(pieces: AsyncIterable<Buffer>): Promise<Extent>;
  read(extent: Extent): Promise<Buffer>;
  /** Everything else: the file is whole afterwards. */
  finish(root: TreeNode): Promise<void>;
}

export function createErofsWriter(file: FileHandle): ErofsWriter {
  // The first block is the superblock's.
  let block = 1;

  async function add(pieces: AsyncIterable<Buffer>): Promise<Extent> {
    const start = block;
    let size = 0;
    for await (const piece of pieces) {
      // Zeros need no room on the disk.
      if (!isZero(piece)) {
        await file.write(piece, 0, piece.length, start * blockBytes + size);
      }
      size += piece.length;
    }
    block += blocksOf(size);
    return { block: start, size };
  }

  async function read({ block: start, size }: Extent): Promise<Buffer> {
    const content = Buffer.alloc(size);
    await file.read(content, 0, size, start * blockBytes);
    return content;
  }

  async function finish(root: TreeNode): Promise<void> {
    const inodes = placeInodes(root);
    for (const inode of inodes.values()) {
      // What does not fit beside the inode goes where contents are, with room for what comes later:
      // folders can be written once every inode has its place.
      if (inode.node.type === "directory" || inode.node.type === "symlink") {
        const outside = inode.size - inode.inline;
        inode.block = block;
        block += blocksOf(outside);
      }
    }
    const metaBlock = block;
    for (const { offset, node, parent, ...inode } of inodes.values()) {
      const data = dataOf(node, parent, inodes);
      const head = inodeOf(node, inode);
      const tail = data?.subarray(inode.size - inode.inline) ?? Buffer.alloc(0);
      const bytes = Buffer.concat([head, tail]);
      await file.write(bytes, 0, bytes.length, metaBlock * blockBytes + offset);
      const outside = data?.subarray(0, inode.size - inode.inline);
      if (outside !== undefined && outside.length > 0) {
        await file.write(outside, 0, outside.length, inode.block * blockBytes);
      }
    }
    const last = [...inodes.values()].at(-1) as PlacedInode;
    const end = metaBlock + blocksOf(last.offset + inodeBytes + last.xattrs.length + last.inline);
    await file.truncate(end * blockBytes);
    const superblock = superblockOf(inodes.get(root) as PlacedInode, inodes.size, end, metaBlock);
    await file.write(superblock, 0, superblock.length, superblockOffset);
  }

  return { add, read, finish };
}

interface PlacedInode {
  readonly node: TreeNode;
  readonly parent: TreeNode;
  readonly number: number;
  /** In the inodes' area. */
  readonly offset: number;
  readonly xattrs: Buffer;
  readonly size: number;
  /** Bytes of its data behind the inode itself; the rest is in blocks. */
  readonly inline: number;
  links: number;
  block: number;
}

/** The root first: a superblock has 16 bits for its place. */
function placeInodes(root: TreeNode): ReadonlyMap<TreeNode, PlacedInode> {
  const inodes = new Map<TreeNode, PlacedInode>();
  // Inode 0 would be no file to programs that list folders.
  let offset = inodeBytes;
  const place = (node: TreeNode, parent: TreeNode) => {
    const known = inodes.get(node);
    if (known !== undefined) {
      known.links += 1;
      return;
    }
    const xattrs = xattrsOf(node.xattrs);
    const size = sizeOf(node);
    const head = inodeBytes + xattrs.length;
    const tail = node.type === "directory" || node.type === "symlink" ? size % blockBytes : 0;
    const inline = tail > 0 && head + tail <= blockBytes ? tail : 0;
    // Neither an inode nor the data behind it may cross a block's end.
    const inBlock = offset % blockBytes;
    if (inBlock + (inline > 0 ? head + inline : inodeBytes) > blockBytes) {
      offset += blockBytes - inBlock;
    }
    const number = inodes.size + 1;
    const folders = [...node.children.values()].filter(({ type }) => type === "directory").length;
    const links = node.type === "directory" ? 2 + folders : 1;
    const { block } = node.extent;
    inodes.set(node, { node, parent, number, offset, xattrs, size, inline, links, block });
    offset = Math.ceil((offset + head + inline) / slotBytes) * slotBytes;
  };
  place(root, root);
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const child of folder.children.values()) {
      place(child, folder);
      if (child.type === "directory") folders.push(child);
    }
  }
  return inodes;
}

function inodeOf(
  { mode, type, uid, gid, mtime, device }: TreeNode,
  inode: Pick<PlacedInode, "number" | "xattrs" | "size" | "inline" | "links" | "block">,
): Buffer {
  const head = Buffer.alloc(inodeBytes);
  head.writeUInt16LE(1 | ((inode.inline > 0 ? layout.inline : layout.plain) << 1), 0);
  head.writeUInt16LE(inode.xattrs.length === 0 ? 0 : (inode.xattrs.length - 12) / 4 + 1, 2);
  head.writeUInt16LE(fileTypes[type] | mode, 4);
  head.writeBigUInt64LE(BigInt(inode.size), 8);
  head.writeUInt32LE(type.endsWith("-device") ? deviceNumber(device) : inode.block, 16);
  head.writeUInt32LE(inode.number, 20);
  head.writeUInt32LE(uid, 24);
  head.writeUInt32LE(gid, 28);
  head.writeBigUInt64LE(BigInt(mtime.s), 32);
  head.writeUInt32LE(mtime.ns, 40);
  head.writeUInt32LE(inode.links, 44);
  return Buffer.concat([head, inode.xattrs]);
}

/** As the kernel's new_encode_dev. */
function deviceNumber({ major, minor }: TreeNode["device"]): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

interface Name {
  readonly bytes: Buffer;
  readonly node: TreeNode;
}

/** Sorted by bytes, and divided into blocks that each list what they hold. */
function nameBlocks(folder: TreeNode, parent: TreeNode): readonly (readonly Name[])[] {
  const names = [
    { bytes: Buffer.from("."), node: folder },
    { bytes: Buffer.from(".."), node: parent },
    ...[...folder.children].map(([name, node]) => ({ bytes: Buffer.from(name, "latin1"), node })),
  ].sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const blocks: Name[][] = [];
  let room = 0;
  for (const name of names) {
    const bytes = direntBytes + name.bytes.length;
    if (bytes > room) {
      blocks.push([]);
      room = blockBytes;
    }
    blocks.at(-1)?.push(name);
    room -= bytes;
  }
  return blocks;
}

function sizeOf(node: TreeNode): number {
  if (node.type === "symlink") return node.target.length;
  if (node.type !== "directory") return node.extent.size;
  // Whose names they are does not change how long they are.
  const blocks = nameBlocks(node, node);
  const last = blocks.at(-1)?.reduce((sum, { bytes }) => sum + direntBytes + bytes.length, 0) ?? 0;
  return (blocks.length - 1) * blockBytes + last;
}

function dataOf(
  node: TreeNode,
  parent: TreeNode,
  inodes: ReadonlyMap<TreeNode, PlacedInode>,
): Buffer | undefined {
  if (node.type === "symlink") return Buffer.from(node.target, "latin1");
  if (node.type !== "directory") return undefined;
  const data = Buffer.alloc(sizeOf(node));
  for (const [index, names] of nameBlocks(node, parent).entries()) {
    const start = index * blockBytes;
    let nameOffset = names.length * direntBytes;
    for (const [place, { bytes, node: child }] of names.entries()) {
      const at = start + place * direntBytes;
      const { offset } = inodes.get(child) as PlacedInode;
      data.writeBigUInt64LE(BigInt(offset / slotBytes), at);
      data.writeUInt16LE(nameOffset, at + 8);
      data.writeUInt8(direntTypes[child.type], at + 10);
      bytes.copy(data, start + nameOffset);
      nameOffset += bytes.length;
    }
  }
  return data;
}

const xattrIndexes: ReadonlyArray<readonly [prefix: string, index: number]> = [
  ["user.", 1],
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["trusted.", 4],
  ["security.", 6],
];

/** Header and entries; empty when there are none. */
function xattrsOf(xattrs: TreeNode["xattrs"]): Buffer {
  const entries: Buffer[] = [];
  for (const [name, value] of xattrs) {
    const found = xattrIndexes.find(([prefix]) => name.startsWith(prefix));
    // An overlay's own marks would hide files of the image from the guest.
    if (found === undefined || name.startsWith("trusted.overlay.")) continue;
    const suffix = Buffer.from(name.slice(found[0].length), "latin1");
    const head = Buffer.alloc(4);
    head.writeUInt8(suffix.length, 0);
    head.writeUInt8(found[1], 1);
    head.writeUInt16LE(value.length, 2);
    const padding = Buffer.alloc((4 - ((suffix.length + value.length) % 4)) % 4);
    entries.push(head, suffix, value, padding);
  }
  return entries.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.alloc(12), ...entries]);
}

function superblockOf(
  root: PlacedInode,
  inodes: number,
  blocks: number,
  metaBlock: number,
): Buffer {
  const bytes = Buffer.alloc(128);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt8(Math.log2(blockBytes), 12);
  bytes.writeUInt16LE(root.offset / slotBytes, 14);
  bytes.writeBigUInt64LE(BigInt(inodes), 16);
  bytes.writeUInt32LE(blocks, 36);
  bytes.writeUInt32LE(metaBlock, 40);
  return bytes;
}

// As long as the pieces of an uncompressed layer.
const zeros = Buffer.alloc(1 << 20);

function isZero(piece: Buffer): boolean {
  return piece.length <= zeros.length && piece.equals(zeros.subarray(0, piece.length));
}

function blocksOf(bytes: number): number {
  return Math.ceil(bytes / blockBytes);
}
