/**
 * Root file systems as containerd hands them over, compared with what a container in a real VM sees.
 * Needs root and a guest image.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MountSchema } from "../../proto/containerd/gen/mount_pb.js";
import { packImage } from "../../simulator/images/pack/pack-image.ts";
import { vmTestObstacle } from "../support/guest-image.ts";
import { containerSpec } from "../support/oci-specs.ts";
import { makeOddLayers, type OddLayers, oddFolder, tarLayer } from "../support/odd-layers.ts";
import { type ShimDriver, task } from "../support/shim-driver.ts";
import { createShimScene } from "./shim-scene.ts";

const why = vmTestObstacle();
if (why !== undefined) console.warn(`skipped: ${why}`);

interface HostMount {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

describe.skipIf(why !== undefined)("a root file system in the guest", () => {
  const folder = mkdtempSync("/tmp/kroot-");
  const scene = createShimScene(folder);
  const cache = join(folder, "rootfs");
  let driver: ShimDriver;
  let layers: OddLayers;

  beforeAll(async () => {
    layers = makeOddLayers(join(folder, "layers"));
    driver = await scene.openDriver("d");
    await scene.newSandbox(driver, "pod");
  });
  afterAll(async () => {
    await driver.close();
    scene.expectNothingLeft();
  });

  /** Folders of a new container, as containerd's overlayfs snapshotter makes them. */
  function overlay(name: string, fill?: (upper: string) => void): HostMount {
    const [upper, work] = ["fs", "work"].map((kind) => join(folder, "snapshots", name, kind));
    for (const path of [upper, work]) mkdirSync(path!, { recursive: true });
    // As the snapshotter does: the owner of the layer below.
    execFileSync("chown", ["--reference", layers.lower[0]!, upper!]);
    fill?.(upper!);
    // Colons in a folder's name are written with a backslash.
    const lower = layers.lower.map((path) => path.replaceAll(":", "\\:")).join(":");
    const options = ["index=off", `workdir=${work}`, `upperdir=${upper}`, `lowerdir=${lower}`];
    return { type: "overlay", source: "overlay", options };
  }

  /** What the command says in a container with this root file system. */
  async function inGuest(
    id: string,
    args: readonly string[],
    rootfs: readonly HostMount[],
    root = "rootfs",
  ): Promise<string> {
    await driver.start(id, { ...containerSpec("pod", args), root: { path: root } });
    const streams = driver.streams(id);
    const { stdout, stderr } = streams;
    const bundle = driver.bundleOf(id);
    await driver.client.call(task.create, {
      id,
      bundle,
      stdout,
      stderr,
      rootfs: rootfs.map((mount) => create(MountSchema, { ...mount, options: [...mount.options] })),
    });
    await driver.client.call(task.start, { id });
    const { exitStatus } = await driver.client.call(task.wait, { id });
    await streams.ended;
    await driver.client.call(task.delete, { id });
    expect([streams.errors(), exitStatus]).toEqual(["", 0]);
    return streams.text();
  }

  /** The same, of the same mount on the host, in a mount namespace that ends with it. */
  function onHost(args: readonly string[], { type, source, options }: HostMount): string {
    const root = join(folder, "merged");
    mkdirSync(root, { recursive: true });
    // Not mount(8): it would take the comma of a folder's name for the end of the option.
    const links = join(folder, "links");
    execFileSync("rm", ["-rf", links]);
    mkdirSync(links);
    const lower = layers.lower.map((path, index) => {
      execFileSync("ln", ["-s", path, join(links, `${index}`)]);
      return `${index}`;
    });
    const list = options.map((option) =>
      option.startsWith("lowerdir=") ? `lowerdir=${lower.join(":")}` : option,
    );
    const script = 'cd "$1"; mount -t "$2" -o "$3" "$4" "$5"; shift 5; chroot "$0" "$@"';
    return execFileSync(
      "unshare",
      ["-m", "sh", "-ec", script, root, links, type, list.join(","), source, root, ...args],
      { encoding: "utf8", maxBuffer: 16 << 20 },
    );
  }

  const listOdd = ["/tree", "list", `/${oddFolder}`];
  const rootAttributes = ["stat", "-c", "%a %u %g", "/"];
  const packed = () => readdirSync(cache).filter((name) => name.endsWith(".erofs"));
  const lines = (text: string) => text.split("\n");

  it("is the host's overlay to the last attribute, and the host's layers stay as they were", async () => {
    const mount = overlay("first");
    const before = layers.lower.map((path) => execFileSync(layers.tree, ["list", path]).toString());
    const seen = await inGuest("first", listOdd, [mount]);
    // Read before the host's own mount touches the upper folder.
    expect(readdirSync(join(folder, "snapshots/first/fs"))).toEqual([]);
    const expected = onHost(listOdd, mount);
    expect(lines(expected).length).toBeGreaterThan(350);
    expect(lines(seen)).toEqual(lines(expected));
    expect(
      layers.lower.map((path) => execFileSync(layers.tree, ["list", path]).toString()),
    ).toEqual(before);
  });

  it("has the owner and mode of the container's own layer at its top", async () => {
    const mount = overlay("attributes");
    expect(await inGuest("attributes", rootAttributes, [mount])).toBe(
      onHost(rootAttributes, mount),
    );
  });

  it("is packed once for all containers of an image", async () => {
    const [name] = packed();
    const { ino } = statSync(join(cache, name!));
    await inGuest("second", ["true"], [overlay("second")]);
    expect(packed()).toEqual([name]);
    expect(statSync(join(cache, name!)).ino).toBe(ino);
  });

  it("is the container's own to write to", async () => {
    const script = `cd /${oddFolder} && echo more >>plain && rm -r many && ln back new && cat plain back`;
    const mount = overlay("writes");
    const text = await inGuest("writes", ["sh", "-c", script], [mount]);
    expect(text).toBe("content of plain\nmore\nis there again\n");
    expect(readdirSync(join(folder, "snapshots/writes/fs"))).toEqual([]);
    const again = overlay("after-writes");
    expect(await inGuest("after-writes", listOdd, [again])).toBe(onHost(listOdd, again));
  });

  it("honours what an earlier container wrote, and shares that with nobody", async () => {
    const known = packed();
    const mount = overlay("upper", layers.fillUpper);
    expect(await inGuest("upper", listOdd, [mount])).toBe(onHost(listOdd, mount));
    expect(await inGuest("upper2", rootAttributes, [mount])).toBe("711 5 6\n");
    expect(packed()).toEqual(known);
  });

  it("may be one folder: a view of one layer, or one that the spec names", async () => {
    const base = layers.lower[2]!;
    const view = { type: "bind", source: base, options: ["rbind", "ro"] };
    const expected = lines(execFileSync(layers.tree, ["list", join(base, oddFolder)]).toString());
    expect(lines(await inGuest("view", listOdd, [view]))).toEqual(expected);
    expect(lines(await inGuest("named", listOdd, [], base))).toEqual(expected);
    expect(packed()).toHaveLength(2);
  });

  it("is the same when it comes packed from tar layers, as a user without root has images", {
    // Copies of all layers, in software.
    timeout: 180_000,
  }, async () => {
    const tars = [...layers.lower]
      .reverse()
      .map((path, index) => tarLayer(path, join(folder, `layer-${index}`)));
    const file = join(folder, "packed.erofs");
    await packImage(tars, { file, accounts: join(folder, "accounts") });
    const image = { type: "erofs", source: file, options: ["ro"] };
    const expected = lines(onHost(listOdd, overlay("packed"))).filter(
      (line) => !line.startsWith("./sparse "),
    );
    expect(lines(await inGuest("packed", listOdd, [image]))).toEqual(expected);
    expect(readFileSync(join(folder, "accounts/etc/passwd"), "utf8")).toContain("root:");
  });

  it("leaves no mount on the host and no file in the bundle", () => {
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(folder);
    expect(readdirSync(cache).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect(readdirSync(driver.bundleOf("upper"))).not.toContain("rootfs.erofs");
  });
});
