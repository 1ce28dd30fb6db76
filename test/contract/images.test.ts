/** The image service with genuine skopeo, umoci and mkfs.erofs; a registry on loopback. Needs root. */
import { execFileSync } from "node:child_process";
import {
  createReadStream,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { createImageService, type NodeImages } from "../../simulator/images/index.ts";
import { makeBaseImage } from "./node-support/host-rootfs.ts";
import { startTinyRegistry, type TinyRegistry } from "./node-support/tiny-registry.ts";

const usable =
  process.getuid?.() === 0 && ["skopeo", "umoci"].every((tool) => existsSync(`/usr/bin/${tool}`));
if (!usable) console.warn("skipped: images need root, skopeo and umoci");

describe.skipIf(!usable)("image service", () => {
  let folder: string;
  let layout: string;
  let registry: TinyRegistry;
  let images: NodeImages;
  let nowMs = Date.now();

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "rt-images-"));
    makeBaseImage(join(folder, "guest"));
    layout = makeLayeredLayout(folder);
    registry = await startTinyRegistry(layout);
    images = createImageService({
      paths: { images: join(folder, "images"), guest: join(folder, "guest") },
      // The reserved name never resolves, so its registry is out of reach on every machine.
      aliases: [{ image: "registry.invalid/team/base:v1", servedBy: "katasim.local/base:v1" }],
      mirrors: { "mirrored.invalid": [registry.host] },
      log: silentLogger,
      clock: { nowMs: () => nowMs, sleep: async () => undefined },
    });
  });
  afterAll(async () => {
    images?.close();
    await registry?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("pulls from a registry and unpacks the layers in order", async () => {
    const image = await images.pull(`${registry.host}/team/app:v1`);
    expect(image).toMatchObject({
      requested: `${registry.host}/team/app:v1`,
      resolved: `${registry.host}/team/app:v1`,
    });
    expect(image.id).toMatch(/^sha256:[a-f0-9]{64}$/);
    const { rootfs = "" } = images.content(image.id);
    expect(readdirSync(rootfs).sort()).toEqual(["dir", "hard", "kept", "opaque"]);
    expect(readdirSync(join(rootfs, "opaque"))).toEqual(["new"]);
    expect(statSync(join(rootfs, "hard")).ino).toBe(statSync(join(rootfs, "kept")).ino);
    expect(statSync(join(rootfs, "dir/owned"))).toMatchObject({ uid: 1234, gid: 5678 });
    expect(lstatSync(join(rootfs, "dir/link")).isSymbolicLink()).toBe(true);
    expect(await images.find(`${registry.host}/team/app:v1`)).toMatchObject({ id: image.id });
  });

  it("makes one erofs file however many ask at once", async () => {
    const { id } = await images.pull(`${registry.host}/team/app:v1`);
    const files = await Promise.all(Array.from({ length: 5 }, () => images.erofs(id)));
    expect(new Set(files).size).toBe(1);
    // The super block's magic, at offset 1024 (linux fs/erofs/erofs_fs.h).
    expect(readFileSync(files[0] as string).readUInt32LE(1024)).toBe(0xe0f5e1e2);
  });

  it("fetches once for pulls of the same name at once", async () => {
    registry.requests.length = 0;
    await Promise.all([
      images.pull(`${registry.host}/x/y:v1`),
      images.pull(`${registry.host}/x/y:v1`),
    ]);
    expect(
      registry.requests.filter((line) => line.endsWith("/manifests/v1")).length,
    ).toBeLessThanOrEqual(2);
    expect(registry.requests.filter((line) => line === "GET /v2/").length).toBe(1);
  });

  it("hands the registry's refusal on and substitutes nothing", async () => {
    await expect(images.pull(`${registry.host}/team/app:v2`)).rejects.toThrow(/manifest unknown/);
    expect(await images.find(`${registry.host}/team/app:v2`)).toBeUndefined();
  });

  it("asks a mirror before the registry", async () => {
    const image = await images.pull("mirrored.invalid/team/app:v1");
    expect(image.resolved).toBe("mirrored.invalid/team/app:v1");
  });

  it("fails for a registry out of reach and no alias", async () => {
    await expect(images.pull("registry.invalid/other:v1")).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      message: expect.stringContaining("registry registry.invalid is not reachable"),
    });
  });

  it("serves the alias when the registry is out of reach, and says so", async () => {
    const image = await images.pull("registry.invalid/team/base:v1");
    expect(image.resolved).toBe("katasim.local/base:v1");
    expect(image.substituteReason).toMatch(
      /^registry registry\.invalid is not reachable \(.+\); serving the built-in image katasim\.local\/base:v1 in its place$/,
    );
    expect(await images.find("registry.invalid/team/base:v1")).toMatchObject({
      resolved: "katasim.local/base:v1",
    });
  });

  it("asks for the real image again once the registry's absence is old", async () => {
    await images.pull("registry.invalid/team/base:v1");
    nowMs += 61_000;
    expect(await images.find("registry.invalid/team/base:v1")).toBeUndefined();
  });

  it("refuses a name that is none", async () => {
    await expect(async () => images.pull("Bad Name")).rejects.toMatchObject({
      code: "IMAGE_NAME_INVALID",
    });
  });

  it("loads a docker-save archive, an OCI archive and a layout folder under their names", async () => {
    const docker = join(folder, "docker.tar");
    execFileSync("skopeo", [
      "--insecure-policy",
      "copy",
      "-q",
      `oci:${layout}:image`,
      `docker-archive:${docker}:example.com/from/docker:v1`,
    ]);
    expect((await images.load(docker)).map((image) => image.requested)).toEqual([
      "example.com/from/docker:v1",
    ]);
    const oci = join(folder, "oci.tar");
    execFileSync("skopeo", [
      "--insecure-policy",
      "copy",
      "-q",
      `oci:${layout}:image`,
      `oci-archive:${oci}:example.com/from/oci:v2`,
    ]);
    expect((await images.load(oci)).map((image) => image.requested)).toEqual([
      "example.com/from/oci:v2",
    ]);
    expect((await images.load(layout, { name: "named:v1" }))[0]).toMatchObject({
      resolved: "docker.io/library/named:v1",
    });
    expect(await images.find("named:v1")).toBeDefined();
  });

  it("loads from Docker Engine, and tells a missing image from a missing engine", async () => {
    const archive = join(folder, "saved.tar");
    execFileSync("skopeo", [
      "--insecure-policy",
      "copy",
      "-q",
      `oci:${layout}:image`,
      `docker-archive:${archive}:web:v3`,
    ]);
    const socket = join(folder, "docker.sock");
    // The one call of the Engine API that is used (GET /images/{name}/get), as Engine answers it.
    const engine = createServer((request, response) => {
      if (request.url === "/images/web%3Av3/get" || request.url === "/images/web:v3/get") {
        createReadStream(archive).pipe(response);
        return;
      }
      response.statusCode = 404;
      response.end(JSON.stringify({ message: "No such image" }));
    });
    vi.stubEnv("DOCKER_HOST", `unix://${socket}`);
    await expect(images.load("docker:web:v3")).rejects.toMatchObject({
      code: "DOCKER_ENGINE_FAILED",
    });
    await new Promise<void>((resolve) => engine.listen(socket, resolve));
    try {
      expect((await images.load("docker:web:v3"))[0]).toMatchObject({
        resolved: "docker.io/library/web:v3",
      });
      await expect(images.load("docker:gone")).rejects.toMatchObject({ code: "IMAGE_NOT_FOUND" });
    } finally {
      engine.closeAllConnections();
      engine.close();
    }
  });

  it("says what is wrong with a source that is no image", async () => {
    const file = join(folder, "no-image");
    writeFileSync(file, "hello");
    await expect(images.load(file)).rejects.toThrow(/is no image/);
    await expect(images.load(join(folder, "absent"))).rejects.toThrow(/there is no file/);
    await expect(images.load(layout)).rejects.toThrow(/does not say what its image is called/);
  });

  it("imports the built-in image anew only when it was rebuilt", async () => {
    const first = await images.importBuiltin();
    expect(await images.importBuiltin()).toEqual(first);
    const config = join(folder, "guest/base-image/config.json");
    writeFileSync(
      config,
      JSON.stringify({ ...JSON.parse(readFileSync(config, "utf8")), author: "rebuilt" }),
    );
    expect((await images.importBuiltin())?.id).not.toBe(first?.id);
  });

  it("keeps nothing half-made when the disk is full", async () => {
    const small = join(folder, "small");
    mkdirSync(small);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", small]);
    try {
      const store = createImageService({
        paths: { images: small, guest: join(folder, "guest") },
        log: silentLogger,
      });
      await expect(store.importBuiltin()).rejects.toMatchObject({ code: "IMAGE_STORE_FULL" });
      expect(readdirSync(join(small, "tmp"))).toEqual([]);
      expect(existsSync(join(small, "content"))).toBe(false);
      store.close();
    } finally {
      execFileSync("umount", [small]);
    }
  });

  it("removes a name, and the content with its last name", async () => {
    const { id } = await images.pull(`${registry.host}/team/gone:v1`);
    for (const { name, id: other } of await images.list()) {
      if (other === id) expect(await images.remove(name)).toBe(true);
    }
    expect(() => images.content(id)).toThrow(/not in the store/);
    expect(await images.remove(`${registry.host}/team/gone:v1`)).toBe(false);
  });

  it("prunes content without a name and leftovers of killed processes", async () => {
    const stale = join(folder, "images/tmp/4194305-dead");
    mkdirSync(stale, { recursive: true });
    await images.prune();
    expect(existsSync(stale)).toBe(false);
    const named = new Set((await images.list()).map((image) => image.id.slice(7)));
    const kept = readdirSync(join(folder, "images/content")).filter(
      (name) => !name.endsWith(".erofs"),
    );
    expect(kept.every((hex) => named.has(hex))).toBe(true);
  });
});

describe.skipIf(!usable)("image service without root", () => {
  const folder = mkdtempSync(join(tmpdir(), "rt-packed-"));
  let registry: TinyRegistry;
  let images: NodeImages;

  beforeAll(async () => {
    makeBaseImage(join(folder, "guest"));
    registry = await startTinyRegistry(makeLayeredLayout(folder));
    images = createImageService({
      paths: { images: join(folder, "images"), guest: join(folder, "guest") },
      log: silentLogger,
      unprivileged: true,
    });
  });
  afterAll(async () => {
    images?.close();
    await registry?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("packs the layers in order, with their owners, and unpacks nothing", async () => {
    const { id } = await images.pull(`${registry.host}/team/app:v1`);
    expect(images.content(id).rootfs).toBeUndefined();
    const root = join(folder, "extracted");
    execFileSync("fsck.erofs", [`--extract=${root}`, await images.erofs(id)], { stdio: "ignore" });
    expect(readdirSync(root).sort()).toEqual(["dir", "hard", "kept", "opaque"]);
    expect(readdirSync(join(root, "opaque"))).toEqual(["new"]);
    expect(readFileSync(join(root, "hard"), "utf8")).toBe("a\n");
    expect(statSync(join(root, "dir/owned"))).toMatchObject({ uid: 1234, gid: 5678 });
    expect(lstatSync(join(root, "dir/link")).isSymbolicLink()).toBe(true);
  });

  it("has no image whose packed file is gone, and packs it anew", async () => {
    const name = `${registry.host}/team/app:v1`;
    const { id } = await images.pull(name);
    const packed = await images.erofs(id);
    const before = readFileSync(packed);
    rmSync(packed);
    await expect(images.erofs(id)).rejects.toMatchObject({ code: "IMAGE_NOT_FOUND" });
    expect((await images.pull(name)).id).toBe(id);
    expect(readFileSync(await images.erofs(id)).equals(before)).toBe(true);
  });

  it("knows an image's accounts", async () => {
    const image = await images.importBuiltin();
    const { accounts } = images.content(image?.id ?? "");
    expect(readFileSync(join(accounts, "etc/passwd"), "utf8")).toContain("app:x:1234:5678");
  });

  it("removes what nobody names", async () => {
    const name = `${registry.host}/team/app:v1`;
    const { id } = await images.pull(name);
    const file = await images.erofs(id);
    expect(await images.remove(name)).toBe(true);
    expect(existsSync(file)).toBe(false);
    expect(() => images.content(id)).toThrow(/not in the store/);
    expect(readdirSync(join(folder, "images/tmp"))).toEqual([]);
  });
});

/** Two layers: whiteout, opaque folder, hard link, owner, symbolic link. */
function makeLayeredLayout(folder: string): string {
  const layout = join(folder, "layout");
  const tar = (name: string, script: string) => {
    const work = join(folder, name);
    mkdirSync(work);
    execFileSync("sh", ["-ec", script], { cwd: work });
    execFileSync("tar", ["-C", work, "--numeric-owner", "-cf", `${work}.tar`, "."]);
    return `${work}.tar`;
  };
  const lower = tar(
    "lower",
    "echo a >kept; echo b >removed; mkdir opaque dir; echo c >opaque/old; ln kept hard",
  );
  const upper = tar(
    "upper",
    "touch .wh.removed; mkdir opaque dir; touch opaque/.wh..wh..opq opaque/new; echo d >dir/owned; chown 1234:5678 dir/owned; ln -s owned dir/link",
  );
  execFileSync("umoci", ["init", "--layout", layout]);
  execFileSync("umoci", ["new", "--image", `${layout}:image`]);
  for (const layer of [lower, upper]) {
    execFileSync("umoci", ["raw", "add-layer", "--image", `${layout}:image`, layer]);
  }
  return layout;
}
