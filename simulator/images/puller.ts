/**
 * Fetches images from registries: mirrors first, fast failure when nobody answers, and then the
 * configured substitute, if there is one. Several pulls of one name at once fetch once.
 */
import { join } from "node:path";
import type { Clock } from "../../common/clock.ts";
import type { ContentStore } from "./content-store.ts";
import { imageError } from "./errors.ts";
import {
  aliasFor,
  builtinDomain,
  endpointsFor,
  type ImageAlias,
  type RegistryMirrors,
} from "./image-aliases.ts";
import type { ImageBook } from "./image-book.ts";
import type { ImageIndex, NameRow } from "./image-index.ts";
import type { ImageReference } from "./reference.ts";
import { isLoopback, probeRegistry } from "./registry-reach.ts";
import { copyToLayout } from "./skopeo.ts";

export interface PullerOptions {
  readonly index: ImageIndex;
  readonly store: ContentStore;
  readonly book: ImageBook;
  readonly aliases: readonly ImageAlias[];
  readonly mirrors: RegistryMirrors;
  readonly clock: Clock;
  /** Finds an image that is here. */
  findLocal(name: string): Promise<{ readonly id: string; readonly resolved: string } | undefined>;
}

export interface Puller {
  /** Rejects with containerd's sentence around the registry's words. */
  pull(reference: ImageReference, signal?: AbortSignal): Promise<NameRow>;
  /** Why every registry of this image is known to be out of reach just now. */
  outOfReach(reference: ImageReference): string | undefined;
}

type Outcome =
  | { readonly kind: "fetched"; readonly row: NameRow }
  | { readonly kind: "refused" | "unreachable"; readonly words: string };

// A registry out of reach is asked again after this: long enough that a node full of pods does not
// wait for it again and again, short enough that plugging in the cable is noticed.
const unreachableForMs = 60_000;

export function createPuller(options: PullerOptions): Puller {
  const { index, store, book, aliases, mirrors, clock } = options;
  const running = new Map<string, Promise<NameRow>>();

  function pull(reference: ImageReference, signal?: AbortSignal): Promise<NameRow> {
    const current = running.get(reference.canonical);
    if (current !== undefined) return current;
    const work = pullNow(reference, signal).finally(() => running.delete(reference.canonical));
    running.set(reference.canonical, work);
    return work;
  }

  async function pullNow(
    reference: ImageReference,
    signal: AbortSignal | undefined,
  ): Promise<NameRow> {
    const reasons: string[] = [];
    for (const host of endpointsFor(reference, mirrors)) {
      const outcome = await fetchFrom(host, reference, signal);
      if (outcome.kind === "fetched") return outcome.row;
      if (outcome.kind === "refused") throw pullError(reference, outcome.words, false);
      reasons.push(outcome.words);
    }
    const why = reasons.join("; ");
    const servedBy = aliasFor(reference, aliases);
    if (servedBy === undefined) throw pullError(reference, why, true);
    const target = await options.findLocal(servedBy);
    if (target === undefined) {
      throw pullError(reference, `${why}; its substitute ${servedBy} is not here either`, true);
    }
    const what = servedBy.startsWith(`${builtinDomain}/`) ? "the built-in image " : "";
    const reason = `${why}; serving ${what}${servedBy} in its place`;
    return book.put(reference.canonical, target.id, target.resolved, reason);
  }

  async function fetchFrom(
    host: string,
    reference: ImageReference,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    const known = index.unreachable(host, clock.nowMs());
    if (known !== undefined) return { kind: "unreachable", words: known };
    const unreachable = (words: string): Outcome => {
      const reason = `registry ${host} is not reachable (${words})`;
      index.setUnreachable(host, clock.nowMs() + unreachableForMs, reason);
      return { kind: "unreachable", words: reason };
    };
    const silent = await probeRegistry(host);
    if (silent !== undefined) return unreachable(silent);
    const selector = reference.digest === undefined ? `:${reference.tag}` : `@${reference.digest}`;
    return store.withScratch(async (folder): Promise<Outcome> => {
      const layout = join(folder, "layout");
      const failure = await copyToLayout(`docker://${host}/${reference.path}${selector}`, layout, {
        signal,
        plainHttpAllowed: isLoopback(host),
      });
      signal?.throwIfAborted();
      if (failure?.unreachable) return unreachable(failure.words);
      if (failure !== undefined) return { kind: "refused", words: failure.words };
      index.clearUnreachable(host);
      return { kind: "fetched", row: await book.take(layout, reference.canonical) };
    });
  }

  function outOfReach(reference: ImageReference): string | undefined {
    const now = clock.nowMs();
    const reasons = endpointsFor(reference, mirrors).map((host) => index.unreachable(host, now));
    return reasons.includes(undefined) ? undefined : reasons.join("; ");
  }

  return { pull, outOfReach };
}

/** containerd's sentence (client/pull.go, core/remotes/docker/resolver.go). */
export function pullError(reference: ImageReference, words: string, unreachable: boolean) {
  const { canonical } = reference;
  return imageError(
    unreachable ? "REGISTRY_UNAVAILABLE" : "IMAGE_PULL_FAILED",
    `failed to pull and unpack image "${canonical}": failed to resolve reference "${canonical}": ${words}`,
    unreachable
      ? { hint: "Check the network, or bring the image in with `katasim image load`." }
      : {},
  );
}
