/**
 * The node's images: names, pulls, mirrors, substitutes and the content that containers run from.
 * Implements the agent's `ImageService` and what `katasim image` needs.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../../common/clock.ts";
import type { SimError } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { Paths } from "../../common/paths.ts";
import type { ImageRef, ImageService } from "../runtime-port.ts";
import { type ContentStore, createContentStore } from "./content-store.ts";
import { imageError } from "./errors.ts";
import {
  builtinDomain,
  builtinImageName,
  defaultAliases,
  type ImageAlias,
  type RegistryMirrors,
} from "./image-aliases.ts";
import { createImageBook, type FoundImage, refOf } from "./image-book.ts";
import { openImageIndex } from "./image-index.ts";
import { type ImageConfig, ImageConfigSchema, makeLayout } from "./oci-layout.ts";
import { createPuller, pullError } from "./puller.ts";
import { parseReference } from "./reference.ts";
import { copyToLayout } from "./skopeo.ts";
import { type ImageSource, saveFromDocker, sourcesOfFile } from "./sources.ts";

export interface ImageServiceOptions {
  readonly paths: Pick<Paths, "images" | "guest">;
  readonly aliases?: readonly ImageAlias[];
  readonly mirrors?: RegistryMirrors;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Default: whether this process is not root's. */
  readonly unprivileged?: boolean;
}

export interface ListedImage {
  readonly name: string;
  readonly id: string;
  readonly resolved: string;
  readonly sizeBytes: number;
  readonly addedAtMs: number;
  readonly substituteReason?: string;
}

/** What a container is made from. */
export interface ImageContent {
  /** Unpacked root, read-only by agreement; absent where only erofs files can be made. */
  readonly rootfs?: string;
  /** Folder with the image's etc/passwd and etc/group. */
  readonly accounts: string;
  readonly config: ImageConfig;
}

/** What `simulator/runtime` asks of the store. */
export interface ImageStore {
  content(id: string): ImageContent;
  /** Path of the image as one erofs file, made when first asked for. */
  erofs(id: string): Promise<string>;
}

export interface NodeImages extends ImageService, ImageStore {
  find(name: string): Promise<FoundImage | undefined>;
  list(): Promise<readonly ListedImage[]>;
  /** Removes a name, and the content when no other name has it. False when it is not here. */
  remove(name: string): Promise<boolean>;
  /** `docker:NAME`, an archive, or an OCI layout folder (`oci:DIR`); `name` overrides the source's. */
  load(source: string, options?: { readonly name?: string }): Promise<readonly ImageRef[]>;
  /**
   * Takes the base image made at set-up into the store (and again when it was rebuilt), with its
   * erofs file. Undefined when it was never made.
   */
  importBuiltin(): Promise<ImageRef | undefined>;
  /** Removes content without a name; answers the ids. */
  prune(): Promise<readonly string[]>;
  close(): void;
}

export function createImageService(options: ImageServiceOptions): NodeImages {
  const { paths } = options;
  const clock = options.clock ?? systemClock;
  const store: ContentStore = createContentStore({
    folder: paths.images,
    unprivileged: options.unprivileged ?? process.getuid?.() !== 0,
  });
  const index = openImageIndex(paths.images);
  const book = createImageBook(index, store, clock);
  const puller = createPuller({
    index,
    store,
    book,
    aliases: options.aliases ?? defaultAliases,
    mirrors: options.mirrors ?? {},
    clock,
    findLocal: find,
  });

  async function find(name: string): Promise<FoundImage | undefined> {
    if (/^sha256:[a-f0-9]{64}$/.test(name)) {
      const image = index.image(name);
      if (image === undefined || !store.has(name)) return undefined;
      return { requested: name, resolved: name, id: name, sizeBytes: image.sizeBytes };
    }
    const reference = parseReference(name);
    if (reference.domain === builtinDomain) await importBuiltin();
    const row = book.row(reference.canonical);
    if (row === undefined) return undefined;
    // A substitute holds only while its registry is known to be out of reach: afterwards the real
    // image is asked for again.
    if (row.substituteReason !== null && puller.outOfReach(reference) === undefined)
      return undefined;
    return refOf(name, row);
  }

  async function pull(name: string, signal?: AbortSignal): Promise<FoundImage> {
    const reference = parseReference(name);
    if (reference.domain !== builtinDomain) {
      return refOf(name, await puller.pull(reference, signal));
    }
    await importBuiltin();
    const row = book.row(reference.canonical);
    if (row !== undefined) return refOf(name, row);
    throw pullError(reference, "not found: images under katasim.local are made at set-up", false);
  }

  async function load(
    source: string,
    loadOptions: { readonly name?: string } = {},
  ): Promise<readonly ImageRef[]> {
    return store.withScratch(async (folder) => {
      let sources: readonly ImageSource[];
      if (source.startsWith("docker:")) {
        const engineName = source.slice("docker:".length);
        const archive = join(folder, "docker.tar");
        await saveFromDocker(engineName, archive);
        sources = [{ transport: `docker-archive:${archive}`, name: engineName }];
      } else {
        sources = await sourcesOfFile(source.replace(/^(oci|oci-archive|docker-archive):/, ""));
      }
      const loaded: ImageRef[] = [];
      for (const [position, { transport, name }] of sources.entries()) {
        const wanted = loadOptions.name ?? name;
        if (wanted === undefined) {
          throw imageError(
            "IMAGE_SOURCE_INVALID",
            `${source} does not say what its image is called`,
            {
              hint: "Give the name, for instance with --as.",
            },
          );
        }
        const { canonical } = parseReference(wanted);
        const layout = join(folder, `layout-${position}`);
        const failure = await copyToLayout(transport, layout);
        if (failure !== undefined) {
          throw imageError("IMAGE_SOURCE_INVALID", `${source} cannot be read: ${failure.words}`);
        }
        loaded.push(refOf(wanted, await book.take(layout, canonical)));
      }
      return loaded;
    });
  }

  let importing: Promise<ImageRef | undefined> | undefined;
  function importBuiltin(): Promise<ImageRef | undefined> {
    importing ??= importBuiltinNow().finally(() => {
      importing = undefined;
    });
    return importing;
  }

  async function importBuiltinNow(): Promise<ImageRef | undefined> {
    const folder = join(paths.guest, "base-image");
    const tar = join(folder, "rootfs.tar");
    const configFile = join(folder, "config.json");
    const found = await Promise.all([stat(tar), stat(configFile)]).catch(() => undefined);
    if (found === undefined) {
      const row = book.row(builtinImageName);
      return row === undefined ? undefined : refOf(builtinImageName, row);
    }
    const key = found.map((info) => `${info.size}:${info.mtimeMs}`).join(" ");
    const current = book.row(builtinImageName);
    if (current !== undefined && index.fact("builtin") === key) {
      return refOf(builtinImageName, current);
    }
    const row = await store.withScratch(async (scratch) => {
      const layout = join(scratch, "layout");
      await makeLayout(layout, tar, JSON.parse(await readFile(configFile, "utf8")));
      return book.take(layout, builtinImageName);
    });
    await store.erofs(row.id);
    index.setFact("builtin", key);
    return refOf(builtinImageName, row);
  }

  async function remove(name: string): Promise<boolean> {
    const { canonical } = parseReference(name);
    const row = index.name(canonical);
    if (row === undefined) return false;
    const others = index.names().filter((other) => other.id === row.id && other.name !== canonical);
    if (others.length === 0 && (await store.inUse()).has(row.id)) {
      throw imageError("IMAGE_IN_USE", `image ${canonical} is used by a running container`, {
        hint: "Delete the pods that run it first.",
      });
    }
    index.removeName(canonical);
    if (index.removeUnnamed(row.id)) await store.remove(row.id);
    return true;
  }

  async function prune(): Promise<readonly string[]> {
    await store.sweep();
    const used = await store.inUse();
    const removed: string[] = [];
    for (const id of new Set([...index.imageIds(), ...(await store.ids())])) {
      if (used.has(id) || index.names().some((row) => row.id === id)) continue;
      index.removeUnnamed(id);
      await store.remove(id);
      removed.push(id);
    }
    return removed;
  }

  function content(id: string): ImageContent {
    const row = index.image(id);
    if (row === undefined || !store.has(id)) throw gone(id);
    const rootfs = store.rootfs(id);
    return {
      ...(rootfs === undefined ? {} : { rootfs }),
      accounts: store.accounts(id),
      config: ImageConfigSchema.parse(JSON.parse(row.config)),
    };
  }

  async function erofs(id: string): Promise<string> {
    if (!store.has(id)) throw gone(id);
    return store.erofs(id);
  }

  return {
    find,
    pull,
    list: async () =>
      index.names().map(({ substituteReason, ...row }) => ({
        ...row,
        ...(substituteReason === null ? {} : { substituteReason }),
      })),
    remove,
    load,
    importBuiltin,
    prune,
    content,
    erofs,
    close: () => index.close(),
  };
}

function gone(id: string): SimError {
  return imageError("IMAGE_NOT_FOUND", `image ${id} is not in the store`, {
    hint: "Pull or load it again.",
  });
}
