import { beforeEach, describe, expect, it } from "vitest";
import { createImageTree, type ImageTree } from "./image-tree.ts";
import type { TarEntry, TarType } from "./tar-reader.ts";

let tree: ImageTree;
beforeEach(() => {
  tree = createImageTree();
  tree.beginLayer();
});

function put(name: string, type: TarType = "file", linkName = ""): void {
  const entry: TarEntry = {
    ...{ name, type, linkName, mode: 0o644, uid: 1, gid: 2, size: 0 },
    ...{ mtime: { s: 3, ns: 4 }, device: { major: 0, minor: 0 }, xattrs: new Map() },
  };
  tree.apply(entry, { block: 0, size: 0 });
}
const names = (path: string) => [...(tree.find(path)?.children.keys() ?? [])].sort();

describe("an image's tree", () => {
  it("makes the folders that a layer does not list", () => {
    put("a/b/c");
    expect(tree.find("a/b")).toMatchObject({ type: "directory", uid: 0, mode: 0o755 });
  });

  it("removes by whiteouts what earlier layers brought, and nothing of its own layer", () => {
    put("dir/old");
    put("dir/kept");
    put("gone");
    tree.beginLayer();
    put("dir/new");
    put("dir/.wh..wh..opq");
    put(".wh.gone");
    expect([names("/"), names("dir")]).toEqual([["dir"], ["new"]]);
    tree.beginLayer();
    put("dir/newer");
    put("dir/.wh.newer");
    expect(names("dir")).toEqual(["new", "newer"]);
  });

  it("goes through an earlier layer's links to folders", () => {
    put("usr/lib", "directory");
    put("lib", "symlink", "usr/lib");
    put("absolute", "symlink", "/usr");
    tree.beginLayer();
    put("lib/one");
    put("absolute/lib/two");
    expect(names("usr/lib")).toEqual(["one", "two"]);
    expect(tree.root.children.get("lib")?.type).toBe("symlink");
  });

  it("never leaves the image", () => {
    put("out", "symlink", "../../../../etc");
    put("out/passwd");
    expect(names("etc")).toEqual(["passwd"]);
    for (const name of ["../x", "a/../../x"]) expect(() => put(name)).toThrow(/cannot be applied/);
  });

  it("refuses links that go round in circles", () => {
    put("a", "symlink", "b");
    put("b", "symlink", "a");
    expect(() => put("a/x")).toThrow(/too many links/);
  });

  it("gives one file several names, and refuses a link to none", () => {
    put("file");
    put("again", "link", "file");
    expect(tree.find("again")).toBe(tree.find("file"));
    put("soft", "symlink", "file");
    put("hard-soft", "link", "soft");
    expect(tree.root.children.get("hard-soft")?.type).toBe("symlink");
    expect(() => put("broken", "link", "nothing")).toThrow(/a hard link to nothing/);
    put("dir", "directory");
    expect(() => put("to-dir", "link", "dir")).toThrow(/a hard link to dir/);
  });

  it("replaces a file by a folder and a folder by a file", () => {
    put("x");
    put("y/below");
    tree.beginLayer();
    put("x", "directory");
    put("y");
    expect([tree.find("x")?.type, tree.find("y")?.type]).toEqual(["directory", "file"]);
  });

  it("refuses a name that no file system takes", () => {
    expect(() => put("n".repeat(256))).toThrow(/255 bytes/);
  });
});
