/**
 * The node's images: names, pulls, mirrors, substitutes and the content that containers run from.
 * Implements the agent's `ImageService` and what `katasim image` needs.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../../common/clock.ts";
import { isSimError, messageOf, type SimError } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { Paths } from "../../common/paths.ts";
import type { ImageRef, ImageService } from "../runtime-port.ts";
import { type ContentStore, createContentStore } from "./content-store.ts";
import { imageError } from "./errors.ts";
import {
  aliasFor,
  builtinDomain,
  builtinImageName,
  defaultAliases,
  endpointsFor,
  type ImageAlias,
  type RegistryMirrors,
} from "./image-aliases.ts";
import { type NameRow, openImageIndex } from "./image-index.ts";
import { type ImageConfig, ImageConfigSchema, makeLayout, readLayout } from "./oci-layout.ts";
import { type ImageReference, parseReference } from "./reference.ts";
import { isLoopback, probeRegistry } from "./registry-reach.ts";
import { copyToLayout } from "./skopeo.ts";
import { type ImageSource, saveFromDocker, sourcesOfFile } from "./sources.ts";

export interface ImageServiceOptions {
  readonly paths: Pick<Paths, "images" | "guest">;
  readonly aliases?: readonly ImageAlias[];
  readonly mirrors?: RegistryMirrors;
  readonly log: Logger;
  readonly clock?: Clock;
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
  /** Unpacked root, read-only by agreement. */
  readonly rootfs: string;
  readonly config: ImageConfig;
}

/** What `simulator/runtime` asks of the store. */
export interface ImageStore {
  content(id: string): ImageContent;
  /** Path of the image as one erofs file, made when first asked for. */
  erofs(id: string): Promise<string>;
}

export type FoundImage = ImageRef & { readonly substituteReason?: string };

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

// A registry out of reach is asked again after this: long enough that a node full of pods does not
// wait for it again and again, short enough that plugging in the cable is noticed.
const unreachableForMs = 60_000;

export function createImageService(options: ImageServiceOptions): NodeImages {
  const { paths, log } = options;
  const clock = options.clock ?? systemClock;
  const aliases = options.aliases ?? defaultAliases;
  const mirrors = options.mirrors ?? {};
  const store: ContentStore = createContentStore(paths.images);
  const index = openImageIndex(paths.images);
  const pulls = new Map<string, Promise<FoundImage>>();

  function rowFor(name: string): NameRow | undefined {
    const row = index.name(name);
    return row !== undefined && store.has(row.id) ? row : undefined;
  }

  async function find(name: string): Promise<FoundImage | undefined> {
    if (/^sha256:[a-f0-9]{64}$/.test(name)) {
      const image = index.image(name);
      if (image === undefined || !store.has(name)) return undefined;
      return { requested: name, resolved: name, id: name, sizeBytes: image.sizeBytes };
    }
    const reference = parseReference(name);
    if (reference.domain === builtinDomain) await importBuiltin();
    const row = rowFor(reference.canonical);
    if (row === undefined) return undefined;
    // A substitute holds only while its registry is known to be out of reach: afterwards the real
    // image is asked for again.
    if (row.substituteReason !== null && knownUnreachable(reference) === undefined)
      return undefined;
    return refOf(name, row);
  }

  function pull(name: string, signal?: AbortSignal): Promise<FoundImage> {
    const reference = parseReference(name);
    const current = pulls.get(reference.canonical);
    if (current !== undefined) return current.then((found) => ({ ...found, requested: name }));
    const work = pullNow(name, reference, signal).finally(() => pulls.delete(reference.canonical));
    pulls.set(reference.canonical, work);
    return work;
  }

  async function pullNow(
    name: string,
    reference: ImageReference,
    signal: AbortSignal | undefined,
  ): Promise<FoundImage> {
    const failed = (words: string, unreachable: boolean) =>
      imageError(
        unreachable ? "REGISTRY_UNAVAILABLE" : "IMAGE_PULL_FAILED",
        `failed to pull and unpack image "${reference.canonical}": failed to resolve reference "${reference.canonical}": ${words}`,
        unreachable
          ? { hint: "Check the network, or bring the image in with `katasim image load`." }
          : {},
      );
    if (reference.domain === builtinDomain) {
      await importBuiltin();
      const row = rowFor(reference.canonical);
      if (row !== undefined) return refOf(name, row);
      throw failed("not found: images under katasim.local are made at set-up", false);
    }
    const reasons: string[] = [];
    for (const host of endpointsFor(reference, mirrors)) {
      const outcome = await fetchFrom(host, reference, signal);
      if (typeof outcome !== "string") return { ...refOf(name, outcome) };
      if (!outcome.startsWith(unreachablePrefix)) throw failed(outcome, false);
      reasons.push(outcome.slice(unreachablePrefix.length));
    }
    const why = reasons.join("; ");
    const substitute = await substituteFor(reference, why);
    if (substitute === undefined) throw failed(why, true);
    return refOf(name, substitute);
  }

  /** A row, or why not; the reason starts with `unreachablePrefix` when the next host may be tried. */
  async function fetchFrom(
    host: string,
    reference: ImageReference,
    signal: AbortSignal | undefined,
  ): Promise<NameRow | string> {
    const known = index.unreachable(host, clock.nowMs());
    if (known !== undefined) return unreachablePrefix + known;
    const give = (words: string) => {
      const reason = `registry ${host} is not reachable (${words})`;
      index.setUnreachable(host, clock.nowMs() + unreachableForMs, reason);
      return unreachablePrefix + reason;
    };
    const silent = await probeRegistry(host);
    if (silent !== undefined) return give(silent);
    const selector = reference.digest === undefined ? `:${reference.tag}` : `@${reference.digest}`;
    const source = `docker://${host}/${reference.path}${selector}`;
    return store.withScratch(async (folder) => {
      const layout = join(folder, "layout");
      const failure = await copyToLayout(source, layout, {
        signal,
        plainHttpAllowed: isLoopback(host),
      });
      signal?.throwIfAborted();
      if (failure?.unreachable) return give(failure.words);
      if (failure !== undefined) return failure.words;
      index.clearUnreachable(host);
      return take(layout, reference.canonical, reference.canonical);
    });
  }

  /** Unpacks a layout into the store and names it. */
  async function take(layout: string, name: string, resolved: string): Promise<NameRow> {
    const image = await readLayout(layout).catch((error: unknown) => {
      if (isSimError(error)) throw error;
      throw imageError("IMAGE_INVALID", `the image ${name} cannot be read: ${messageOf(error)}`, {
        cause: error,
      });
    });
    await store.unpack(image.id, layout);
    index.putImage({
      id: image.id,
      sizeBytes: image.sizeBytes,
      config: JSON.stringify(image.config),
    });
    return putName(name, image.id, resolved, null);
  }

  function putName(name: string, id: string, resolved: string, reason: string | null): NameRow {
    const previous = index.name(name)?.id;
    index.putName({ name, id, resolved, addedAtMs: clock.nowMs(), substituteReason: reason });
    if (previous !== undefined && previous !== id) log.debug({ name, previous, id }, "name moved");
    return index.name(name) as NameRow;
  }

  async function substituteFor(
    reference: ImageReference,
    why: string,
  ): Promise<NameRow | undefined> {
    const servedBy = aliasFor(reference, aliases);
    if (servedBy === undefined) return undefined;
    const target = await find(servedBy);
    if (target === undefined) return undefined;
    const reason = `${why}; serving the built-in image ${servedBy} in its place`;
    return putName(reference.canonical, target.id, target.resolved, reason);
  }

  function knownUnreachable(reference: ImageReference): string | undefined {
    const now = clock.nowMs();
    const reasons = endpointsFor(reference, mirrors).map((host) => index.unreachable(host, now));
    return reasons.includes(undefined) ? undefined : reasons.join("; ");
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
              hint: "Give the name, for instance with --tag.",
            },
          );
        }
        const { canonical } = parseReference(wanted);
        const layout = join(folder, `layout-${position}`);
        const failure = await copyToLayout(transport, layout);
        if (failure !== undefined) {
          throw imageError("IMAGE_SOURCE_INVALID", `${source} cannot be read: ${failure.words}`);
        }
        loaded.push(refOf(wanted, await take(layout, canonical, canonical)));
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
      const row = rowFor(builtinImageName);
      return row === undefined ? undefined : refOf(builtinImageName, row);
    }
    const key = found.map((info) => `${info.size}:${info.mtimeMs}`).join(" ");
    const current = rowFor(builtinImageName);
    if (current !== undefined && index.fact("builtin") === key) {
      return refOf(builtinImageName, current);
    }
    const row = await store.withScratch(async (scratch) => {
      const layout = join(scratch, "layout");
      await makeLayout(layout, tar, JSON.parse(await readFile(configFile, "utf8")));
      return take(layout, builtinImageName, builtinImageName);
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
    return { rootfs: store.rootfs(id), config: ImageConfigSchema.parse(JSON.parse(row.config)) };
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

const unreachablePrefix = "unreachable: ";

function refOf(requested: string, row: NameRow): FoundImage {
  return {
    requested,
    resolved: row.resolved,
    id: row.id,
    sizeBytes: row.sizeBytes,
    ...(row.substituteReason === null ? {} : { substituteReason: row.substituteReason }),
  };
}

function gone(id: string): SimError {
  return imageError("IMAGE_NOT_FOUND", `image ${id} is not in the store`, {
    hint: "Pull or load it again.",
  });
}
