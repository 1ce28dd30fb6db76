/**
 * Which registries are asked in place of another (mirrors, as in containerd's hosts.toml) and which
 * image stands in for one whose registry is out of reach (aliases). Data, extended by configuration.
 */
import type { ImageReference } from "./reference.ts";

export interface ImageAlias {
  /** Canonical name without or with a tag: without one it matches every tag. */
  readonly image: string;
  /** Name of an image that this node holds or can make. */
  readonly servedBy: string;
}

/** Registry host → hosts tried before it, in order. */
export type RegistryMirrors = Readonly<Record<string, readonly string[]>>;

/** The image made at set-up from Debian packages; needs no registry. */
export const builtinImageName = "katasim.local/base:v1";
/** Names under it are never looked for on a network. */
export const builtinDomain = "katasim.local";

/** The image of the manifests on Microsoft's Pod Sandboxing page. */
export const defaultAliases: readonly ImageAlias[] = [
  { image: "mcr.microsoft.com/aks/fundamental/base-ubuntu:v0.0.11", servedBy: builtinImageName },
];

/** Never answers for a digest: content named by its hash has no substitute. */
export function aliasFor(
  reference: ImageReference,
  aliases: readonly ImageAlias[],
): string | undefined {
  if (reference.digest !== undefined) return undefined;
  const repository = `${reference.domain}/${reference.path}`;
  return aliases.find(({ image }) => image === reference.canonical || image === repository)
    ?.servedBy;
}

/** Hosts to try for this image: its mirrors, then its own registry. */
export function endpointsFor(
  reference: ImageReference,
  mirrors: RegistryMirrors,
): readonly string[] {
  return [...(mirrors[reference.domain] ?? []), reference.domain];
}
