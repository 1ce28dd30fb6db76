/**
 * The file system that an image's layers add up to, in memory and without contents: entries are applied
 * one after the other as the image specification says (opencontainers/image-spec layer.md). Nothing
 * touches this machine's own files, so no name in a layer can lead out of the image. Names are as in
 * `tar-reader.ts`.
 */
import { imageError } from "../errors.ts";
import type { TarEntry } from "./tar-reader.ts";

export const fileTypes = {
  file: 0o100000,
  symlink: 0o120000,
  "character-device": 0o020000,
  "block-device": 0o060000,
  directory: 0o040000,
  fifo: 0o010000,
} as const;

/** Where the content lies in the image file that is being made. */
export interface Extent {
  readonly block: number;
  readonly size: number;
}

export interface TreeNode {
  readonly type: keyof typeof fileTypes;
  mode: number;
  uid: number;
  gid: number;
  mtime: TarEntry["mtime"];
  xattrs: ReadonlyMap<string, Buffer>;
  /** Of a folder. */
  readonly children: Map<string, TreeNode>;
  /** Of a symlink. */
  readonly target: string;
  readonly device: TarEntry["device"];
  /** Of a file. */
  readonly extent: Extent;
}

export interface ImageTree {
  readonly root: TreeNode;
  /** A new layer begins: whiteouts in it hide what earlier layers brought. */
  beginLayer(): void;
  /** `extent` is the file's content. Throws IMAGE_INVALID. */
  apply(entry: TarEntry, extent: Extent): void;
  /** The file at the path, through links; undefined when there is none. */
  find(path: string): TreeNode | undefined;
}

const whiteout = ".wh.";
const opaqueMark = ".wh..wh..opq";
const maxLinks = 40;
const maxNameBytes = 255;
const noExtent: Extent = { block: 0, size: 0 };

export function createImageTree(): ImageTree {
  const root = newFolder();
  /** What the layer at hand has brought: its whiteouts do not mean these. */
  let fresh = new Set<TreeNode>();

  /** Parts without links, "." or ".."; undefined where something on the way is missing. */
  function walk(path: string, make: boolean): TreeNode | undefined {
    let todo = parts(path);
    let trail = [root];
    for (let links = 0; todo.length > 0; ) {
      const [name = "", ...rest] = todo;
      todo = rest;
      if (name === "..") {
        trail = trail.length > 1 ? trail.slice(0, -1) : trail;
        continue;
      }
      const folder = trail.at(-1) as TreeNode;
      let next = folder.children.get(name);
      if (next?.type === "symlink") {
        links += 1;
        if (links > maxLinks) throw invalid(`${path} leads through too many links`);
        if (next.target.startsWith("/")) trail = [root];
        todo = [...parts(next.target), ...todo];
        continue;
      }
      if (next === undefined || (next.type !== "directory" && todo.length > 0)) {
        if (!make) return undefined;
        // A layer need not list the folders on the way.
        next = newFolder();
        put(folder, name, next);
      }
      trail = [...trail, next];
    }
    return trail.at(-1);
  }

  function put(folder: TreeNode, name: string, node: TreeNode): void {
    if (name.length > maxNameBytes) throw invalid("a name of more than 255 bytes");
    folder.children.set(name, node);
    fresh.add(node);
  }

  function folderFor(path: string): TreeNode {
    const folder = walk(path, true);
    if (folder?.type === "directory") return folder;
    throw invalid(`${path} is no folder`);
  }

  function hide(folder: TreeNode, name: string | undefined): void {
    for (const [child, node] of folder.children) {
      if (name !== undefined && child !== name) continue;
      if (!fresh.has(node)) folder.children.delete(child);
      // A folder of this layer over an older one: only the older content goes.
      else if (name === undefined) hide(node, undefined);
    }
  }

  return {
    root,
    beginLayer() {
      fresh = new Set();
    },
    apply(entry, extent) {
      const path = parts(entry.name);
      if (path.includes("..")) throw invalid(`the name ${JSON.stringify(entry.name)}`);
      const name = path.pop();
      if (name === undefined) {
        if (entry.type === "directory") Object.assign(root, attributes(entry));
        return;
      }
      const folder = folderFor(path.join("/"));
      if (name === opaqueMark) return hide(folder, undefined);
      if (name.startsWith(whiteout)) return hide(folder, name.slice(whiteout.length));
      if (entry.type === "link") {
        // As link(2): a link that is linked to is not followed.
        const target = parts(entry.linkName);
        const base = target.pop() ?? "";
        const linked = walk(target.join("/"), false)?.children.get(base);
        if (linked === undefined || linked.type === "directory") {
          throw invalid(`a hard link to ${entry.linkName}, which is no file of the image`);
        }
        return put(folder, name, linked);
      }
      const known = folder.children.get(name);
      if (entry.type === "directory" && known?.type === "directory") {
        Object.assign(known, attributes(entry));
        fresh.add(known);
        return;
      }
      put(folder, name, {
        type: entry.type,
        ...attributes(entry),
        children: new Map(),
        target: entry.type === "symlink" ? entry.linkName : "",
        device: entry.device,
        extent,
      });
    },
    find(path) {
      return walk(path, false);
    },
  };
}

function attributes({ mode, uid, gid, mtime, xattrs }: TarEntry) {
  return { mode, uid, gid, mtime, xattrs };
}

function newFolder(): TreeNode {
  return {
    ...{
      type: "directory",
      mode: 0o755,
      uid: 0,
      gid: 0,
      mtime: { s: 0, ns: 0 },
      xattrs: new Map(),
    },
    ...{ children: new Map(), target: "", device: { major: 0, minor: 0 }, extent: noExtent },
  };
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function invalid(what: string) {
  return imageError("IMAGE_INVALID", `a layer of the image cannot be applied: ${what}`);
}
