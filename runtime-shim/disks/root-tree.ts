/**
 * What a container's root file system is made of, read from the mounts of a create request: pure
 * planning, nothing is mounted here. Forms as containerd's snapshotters give them (core/mount).
 */
import { isAbsolute, join } from "node:path";
import type { Mount } from "../../proto/containerd/gen/mount_pb.js";

export type RootTree =
  /** Read-only image files that a guest mounts as they are, topmost first. */
  | { readonly kind: "images"; readonly files: readonly string[] }
  /** Folders of an overlay, topmost first; `upper` is the container's own, usually empty, layer. */
  | {
      readonly kind: "layers";
      readonly lower: readonly string[];
      readonly upper: string | undefined;
      /** Mount options that say how the layers are to be read. */
      readonly options: readonly string[];
    }
  /** `reusable`: other containers may come with the same folder. */
  | { readonly kind: "folder"; readonly path: string; readonly reusable: boolean }
  /** Anything else: to be mounted one over the other. */
  | { readonly kind: "mounts"; readonly mounts: readonly Mount[] };

export type PackedTree = Exclude<RootTree, { kind: "images" }>;

// Of a mount that is written to; here everything is mounted read-only and without an upper layer.
const writerOptions = new Set(["lowerdir", "upperdir", "workdir", "ro", "rw", "volatile"]);

/** `rootPath` is root.path of the OCI spec, which counts where the request lists no mounts. */
export function rootTree(
  bundle: string,
  rootPath: string | null | undefined,
  rootfs: readonly Mount[],
): RootTree {
  const [first, ...others] = rootfs;
  if (first === undefined) {
    const given = rootPath || "rootfs";
    // `ctr run --rootfs` and Docker name a folder of their own.
    return isAbsolute(given) && !given.startsWith(`${bundle}/`)
      ? { kind: "folder", path: given, reusable: true }
      : { kind: "folder", path: join(isAbsolute(given) ? "/" : bundle, given), reusable: false };
  }
  if (rootfs.every(({ type }) => type === "erofs")) {
    // containerd lists mounts in the order they are stacked: the last is on top.
    return { kind: "images", files: rootfs.map(({ source }) => source).reverse() };
  }
  if (others.length > 0) return { kind: "mounts", mounts: rootfs };
  if (first.type === "overlay") return overlayTree(first);
  if (first.type === "bind" || first.options.some((word) => word === "bind" || word === "rbind")) {
    // A writable bind is a container's own copy (the native snapshotter's): nobody else comes with it.
    return { kind: "folder", path: first.source, reusable: first.options.includes("ro") };
  }
  return { kind: "mounts", mounts: rootfs };
}

function overlayTree(mount: Mount): RootTree {
  const value = (name: string) =>
    mount.options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
  const lowerdir = value("lowerdir");
  // Data-only layers ("::") and relative folders are left to the kernel.
  if (lowerdir === undefined || lowerdir.includes("::")) return { kind: "mounts", mounts: [mount] };
  const lower = splitLayers(lowerdir);
  const upper = value("upperdir");
  if ([...lower, upper ?? "/"].some((path) => !isAbsolute(path))) {
    return { kind: "mounts", mounts: [mount] };
  }
  if (lower.length === 1 && upper === undefined) {
    // The kernel wants two layers for an overlay without an upper one.
    return { kind: "folder", path: lower[0] as string, reusable: true };
  }
  const options = mount.options.filter((option) => !writerOptions.has(option.split("=")[0] ?? ""));
  return { kind: "layers", lower, upper, options };
}

/** Folders are separated by colons; one in a name is written `\:`. */
function splitLayers(text: string): readonly string[] {
  return text.split(/(?<!\\):/).map((layer) => layer.replace(/\\([:\\])/g, "$1"));
}
