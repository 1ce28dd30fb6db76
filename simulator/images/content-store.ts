/**
 * The content of images, addressed by config digest. For root: an unpacked root for overlayfs and, made
 * when first asked for, one erofs file for VMs. For another user, who can give no file its owner: the
 * erofs file alone, made from the layers. Everything is built aside and renamed into place, so a
 * killed process or a full disk leaves nothing half-made under a final name.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "../command.ts";
import { imageError } from "./errors.ts";
import { layersOf } from "./oci-layout.ts";
import { packImage } from "./pack/pack-image.ts";
import { throwIfFull } from "./skopeo.ts";

export interface ContentStore {
  has(id: string): boolean;
  /** Path of the unpacked root; undefined where images are packed only. */
  rootfs(id: string): string | undefined;
  /** Folder with the image's etc/passwd and etc/group. */
  accounts(id: string): string;
  /** Path of the erofs file, made now if need be. Several callers at once make it once. */
  erofs(id: string): Promise<string>;
  /** Takes in the image of a layout; does nothing when it is here already. */
  add(id: string, layout: string): Promise<void>;
  remove(id: string): Promise<void>;
  /** Ids whose root is the lower layer of a mounted overlay. */
  inUse(): Promise<ReadonlySet<string>>;
  ids(): Promise<readonly string[]>;
  /** A folder for work in progress; gone when the callback is done, however it ends. */
  withScratch<T>(work: (folder: string) => Promise<T>): Promise<T>;
  /** Removes what killed processes left behind. */
  sweep(): Promise<void>;
}

const packedName = "image.erofs";
// Unpacking or packing gigabytes on a slow disk takes minutes; a hang must still end.
const buildTimeoutMs = 15 * 60_000;

export interface ContentStoreOptions {
  readonly folder: string;
  /** Not root: erofs files only. The two kinds lie beside each other. */
  readonly unprivileged: boolean;
}

export function createContentStore({ folder, unprivileged }: ContentStoreOptions): ContentStore {
  const content = join(folder, unprivileged ? "packed" : "content");
  const scratch = join(folder, "tmp");
  const running = new Map<string, Promise<void>>();
  const folderOf = (id: string) => join(content, hexOf(id));
  const accounts = (id: string) => join(folderOf(id), unprivileged ? "accounts" : "rootfs");
  const erofsPath = (id: string) =>
    unprivileged ? join(folderOf(id), packedName) : join(content, `${hexOf(id)}.erofs`);

  /** The image's content itself: where this is, the image is. */
  const whole = unprivileged ? erofsPath : accounts;

  /** One maker per key in this process; other processes are kept apart by rename. */
  function once(key: string, make: () => Promise<void>): Promise<void> {
    const current = running.get(key);
    if (current !== undefined) return current;
    const work = make().finally(() => running.delete(key));
    running.set(key, work);
    return work;
  }

  async function withScratch<T>(work: (path: string) => Promise<T>): Promise<T> {
    // The pid in the name tells a later sweep whether the maker still lives.
    const path = join(scratch, `${process.pid}-${randomBytes(6).toString("hex")}`);
    try {
      await mkdir(path, { recursive: true, mode: 0o700 });
      return await work(path);
    } catch (error) {
      throwIfFull(error instanceof Error ? error.message : String(error));
      throw error;
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  }

  async function add(id: string, layout: string): Promise<void> {
    if (existsSync(whole(id))) return;
    await once(`add ${id}`, () =>
      withScratch(async (path) => {
        const target = join(path, "image");
        await mkdir(target);
        await (unprivileged ? pack : unpack)(layout, target);
        await mkdir(content, { recursive: true, mode: 0o700 });
        // Left by a removal that was killed.
        if (existsSync(folderOf(id)) && !existsSync(whole(id))) await remove(id);
        await renameUnlessThere(target, folderOf(id));
      }),
    );
  }

  async function erofs(id: string): Promise<string> {
    const path = erofsPath(id);
    // Only an unpacked root can be packed again.
    if (!unprivileged && !existsSync(path)) {
      await once(`erofs ${id}`, () =>
        withScratch(async (aside) => {
          const file = join(aside, "image.erofs");
          // Not compressed, which would halve the file: software emulation takes long to unpack what a guest reads.
          await run("mkfs.erofs", ["--quiet", file, accounts(id)]);
          // Readable for a VMM, which is another user; the folder keeps others out.
          await chmod(file, 0o444);
          await rename(file, path);
        }),
      );
    }
    return path;
  }

  async function inUse(): Promise<ReadonlySet<string>> {
    const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
    const used = new Set<string>();
    for (const id of await ids()) if (mounts.includes(accounts(id))) used.add(id);
    return used;
  }

  async function ids(): Promise<readonly string[]> {
    const names = await readdir(content).catch(() => [] as string[]);
    return names.filter((name) => /^[a-f0-9]{64}$/.test(name)).map((name) => `sha256:${name}`);
  }

  async function remove(id: string): Promise<void> {
    await rm(erofsPath(id), { force: true });
    const folderPath = folderOf(id);
    if (!existsSync(folderPath)) return;
    // Renamed first: a removal that is killed half way leaves no half image under its name.
    await withScratch(async (path) => rename(folderPath, join(path, "image")));
  }

  async function sweep(): Promise<void> {
    for (const name of await readdir(scratch).catch(() => [] as string[])) {
      const pid = Number(name.split("-")[0]);
      if (Number.isInteger(pid) && existsSync(`/proc/${pid}`)) continue;
      await rm(join(scratch, name), { recursive: true, force: true });
    }
  }

  return {
    has: (id) => existsSync(whole(id)),
    rootfs: (id) => (unprivileged ? undefined : accounts(id)),
    accounts,
    erofs,
    add,
    remove,
    inUse,
    ids,
    withScratch,
    sweep,
  };
}

async function unpack(layout: string, target: string): Promise<void> {
  await run("umoci", ["raw", "unpack", "--image", `${layout}:image`, join(target, "rootfs")]);
}

async function pack(layout: string, target: string): Promise<void> {
  await packImage(await layersOf(layout), {
    file: join(target, packedName),
    accounts: join(target, "accounts"),
  });
}

function hexOf(id: string): string {
  return id.replace(/^sha256:/, "");
}

async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // Another process unpacked the same digest first: same content.
    if (code !== "EEXIST" && code !== "ENOTEMPTY") throw error;
  }
}

const packages: Readonly<Record<string, string>> = {
  umoci: "umoci",
  "mkfs.erofs": "erofs-utils",
};

async function run(program: string, args: readonly string[]): Promise<void> {
  const result = await runCommand(program, args, { timeoutMs: buildTimeoutMs });
  if (result.ok) return;
  if (result.missing) {
    throw imageError("IMAGE_TOOL_MISSING", `${program} is not installed`, {
      hint: `Install the Debian package ${packages[program] ?? program}.`,
    });
  }
  throwIfFull(result.stderr);
  throw imageError("IMAGE_INVALID", `${program} cannot unpack the image: ${result.stderr}`);
}
