/**
 * Layers of an overlay with everything in them that a copy of a root file system could lose, made as
 * containerd's snapshotter would have unpacked them. Needs root.
 */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { guestFolder } from "./guest-image.ts";

/** The folder in which the oddities are, in each layer and in the merged root. */
export const oddFolder = "odd";

export interface OddLayers {
  /** Topmost first, as in `lowerdir`. */
  readonly lower: readonly string[];
  /** The program of tree.c, which the root file system has as /tree, too. */
  readonly tree: string;
  /** Adds what containers that ran before may have left in an upper layer. */
  fillUpper(upper: string): void;
}

export function makeOddLayers(folder: string): OddLayers {
  const tree = join(folder, "tree");
  mkdirSync(folder, { recursive: true });
  execFileSync("musl-gcc", [
    ...["-static", "-O1", "-Wall", "-Werror", "-o", tree],
    join(import.meta.dirname, "tree.c"),
  ]);
  const xattr = (path: string, name: string, value: Buffer | string) =>
    execFileSync(tree, ["xattr", path, name, Buffer.from(value).toString("hex")]);
  const layer = (name: string) => {
    const path = join(folder, name);
    // A colon and a comma separate layers and options where they are not looked after.
    mkdirSync(join(path, oddFolder), { recursive: true });
    return path;
  };
  const base = layer("1:base");
  execFileSync("tar", ["-xf", join(guestFolder(), "base-image/rootfs.tar"), "-C", base]);
  copyFileSync(tree, join(base, "tree"));
  fillBase(join(base, oddFolder), xattr);
  const middle = layer("2,middle");
  fillMiddle(join(middle, oddFolder), xattr);
  const top = layer("3 'top'");
  fillTop(join(top, oddFolder));
  chownSync(top, 7, 8);
  chmodSync(top, 0o751);
  return {
    lower: [top, middle, base],
    tree,
    fillUpper(upper) {
      const odd = join(upper, oddFolder);
      mkdirSync(odd);
      writeFileSync(join(odd, "written-before"), "by an earlier container\n");
      whiteout(join(odd, "plain"));
      mkdirSync(join(odd, "many"));
      xattr(join(odd, "many"), "trusted.overlay.opaque", "y");
      writeFileSync(join(odd, "many", "only"), "");
      chownSync(upper, 5, 6);
      chmodSync(upper, 0o711);
    },
  };
}

type SetXattr = (path: string, name: string, value: Buffer | string) => void;

function fillBase(odd: string, xattr: SetXattr): void {
  const at = (name: string) => join(odd, name);
  const file = (name: string, mode = 0o644, uid = 0, gid = 0) => {
    writeFileSync(at(name), `content of ${name}\n`);
    chownSync(at(name), uid, gid);
    chmodSync(at(name), mode);
  };
  for (const name of ["plain", "gone", "back", "hidden-link", "to-folder"]) file(name);
  writeFileSync(at("empty"), "");
  file("setuid", 0o4755, 1000, 1000);
  file("setgid", 0o2711, 0, 42);
  file("unreadable", 0);
  file("large-ids", 0o640, 70_000, 4_294_967_294);
  for (const [name, mode] of Object.entries({ sticky: 0o1777, setgids: 0o2775, closed: 0 })) {
    mkdirSync(at(name));
    chmodSync(at(name), mode);
  }
  for (const name of ["gone-folder", "opaque", "merged", "to-file", "many"]) {
    mkdirSync(at(name));
    writeFileSync(join(at(name), "below"), name);
  }
  for (let index = 0; index < 300; index += 1) writeFileSync(join(at("many"), `n${index}`), "");
  mkdirSync(at(Array.from({ length: 40 }, () => "deep").join("/")), { recursive: true });
  // One inode: two names here, one in another folder, one that the next layer removes.
  linkSync(at("plain"), at("plain-too"));
  linkSync(at("plain"), join(at("merged"), "plain-there"));
  linkSync(at("hidden-link"), at("visible-link"));
  symlinkSync("plain", at("link"));
  symlinkSync("/etc/../etc/passwd", at("absolute-link"));
  symlinkSync("nowhere/at/all", at("dangling-link"));
  symlinkSync("x".repeat(4000), at("long-link"));
  lchownSync(at("link"), 3, 4);
  lutimesSync(at("link"), 1_000_000_000, 1_000_000_000.5);
  execFileSync("mknod", [at("fifo"), "p"]);
  execFileSync("mknod", ["-m", "0666", at("null"), "c", "1", "3"]);
  execFileSync("mknod", ["-m", "0600", at("block"), "b", "259", "70000"]);
  for (const name of [
    // erofs-utils 1.5 cannot pack the longest name there is, of 255 bytes.
    Buffer.from("n".repeat(254)),
    Buffer.from("späße 名 🙂"),
    Buffer.from([0xff, 0xfe, 0x80]),
    Buffer.from("new\nline\ttab\\back:colon,comma'quote\"double $HOME `x` -rf *"),
    Buffer.from("-n"),
    Buffer.from(" "),
  ]) {
    writeFileSync(Buffer.concat([Buffer.from(`${odd}/`), name]), "odd");
  }
  utimesSync(at("empty"), 12, 1_234_567_890.123456);
  utimesSync(at("setgid"), 12, 4_102_444_800);
  utimesSync(at("sticky"), 0, 1);
  xattr(at("plain"), "user.katasim", Buffer.from([0, 1, 0x0a, 0xff]));
  xattr(at("setgid"), "user.long", "v".repeat(3000));
  xattr(at("sticky"), "user.folder", "");
  // VFS_CAP_REVISION_2, effective, CAP_NET_RAW.
  xattr(
    at("setuid"),
    "security.capability",
    Buffer.from(`01000002${"00200000"}${"0".repeat(24)}`, "hex"),
  );
  // Version 2; user::rw-, user:1000:r--, group::r--, mask::r--, other::r--.
  const acl = ["01000600ffffffff", "02000400e8030000", "04000400ffffffff", "10000400ffffffff"];
  xattr(
    at("plain"),
    "system.posix_acl_access",
    Buffer.from(`02000000${acl.join("")}20000400ffffffff`, "hex"),
  );
  const sparse = openSync(at("sparse"), "w");
  ftruncateSync(sparse, 2 ** 31 + 5);
  for (const position of [4096, 1_500_000_000, 2 ** 31]) writeSync(sparse, "data", position);
  const noise = Buffer.from(Array.from({ length: 1 << 20 }, (_, index) => (index * index) % 251));
  for (let index = 0; index < 12; index += 1) appendFileSync(at("large"), noise);
}

function fillMiddle(odd: string, xattr: SetXattr): void {
  const at = (name: string) => join(odd, name);
  for (const name of ["gone", "gone-folder", "back", "hidden-link"]) whiteout(at(name));
  for (const name of ["opaque", "merged", "to-folder"]) {
    mkdirSync(at(name));
    writeFileSync(join(at(name), "middle"), "");
  }
  xattr(at("opaque"), "trusted.overlay.opaque", "y");
  writeFileSync(at("to-file"), "was a folder\n");
  writeFileSync(at("for-the-top-to-hide"), "");
  chmodSync(at("merged"), 0o700);
}

function fillTop(odd: string): void {
  writeFileSync(join(odd, "back"), "is there again\n");
  whiteout(join(odd, "for-the-top-to-hide"));
  mkdirSync(join(odd, "merged"));
  chownSync(join(odd, "merged"), 9, 10);
  chmodSync(join(odd, "merged"), 0o3750);
  chmodSync(odd, 0o1755);
}

function whiteout(path: string): void {
  execFileSync("mknod", [path, "c", "0", "0"]);
}

/** The layer as an image has it, but for its file of 2 GiB that would be as large there: a tar file, with marks of its own for what overlays mark by devices. */
export function tarLayer(layer: string, target: string): string {
  const script = `
    cp -a --sparse=always "$1" "$2"; cd "$2"; rm -f ${oddFolder}/sparse
    find . -type c -print0 | while IFS= read -r -d '' path; do
      [ "$(stat -c %t:%T "$path")" = 0:0 ] || continue
      rm "$path"; touch "$(dirname "$path")/.wh.$(basename "$path")"
    done
    for path in ${oddFolder}/opaque; do
      [ ! -e "$path/middle" ] || touch "$path/.wh..wh..opq"
    done
    # Folders keep their times.
    for path in . ${oddFolder} ${oddFolder}/opaque; do [ ! -e "$path" ] || touch -r "$1/$path" "$path"; done
    tar --format=pax --numeric-owner --xattrs --xattrs-include='*' -cf "$2.tar" .`;
  execFileSync("bash", ["-ec", script, "bash", layer, target]);
  return `${target}.tar`;
}
