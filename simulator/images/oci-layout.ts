/** Reads and makes OCI image layouts (opencontainers/image-spec image-layout.md), one image each. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, link, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { imageError } from "./errors.ts";

const DescriptorSchema = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[a-f0-9]{64}$/),
  size: z.number().int().nonnegative(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const IndexSchema = z.object({ manifests: z.array(DescriptorSchema) });
const ManifestSchema = z.object({
  config: DescriptorSchema,
  layers: z.array(DescriptorSchema),
});

/** What the runtime reads of an OCI image config; everything else is kept but not looked at. */
const stringList = z.array(z.string()).nullish();
export const ImageConfigSchema = z.looseObject({
  architecture: z.string().optional(),
  os: z.string().optional(),
  config: z
    .looseObject({
      User: z.string().nullish(),
      Env: stringList,
      Entrypoint: stringList,
      Cmd: stringList,
      WorkingDir: z.string().nullish(),
      StopSignal: z.string().nullish(),
    })
    .nullish(),
});
export type ImageConfig = z.infer<typeof ImageConfigSchema>;

export interface LayoutImage {
  /** Config digest. */
  readonly id: string;
  /** Config and layers as stored, what CRI calls the image's size. */
  readonly sizeBytes: number;
  readonly config: ImageConfig;
}

/** The image tagged "image" (the tag all our layouts use), or the only one. */
export async function readLayout(layout: string): Promise<LayoutImage> {
  const manifest = await readManifest(layout);
  const config = ImageConfigSchema.parse(await readJson(blobPath(layout, manifest.config.digest)));
  return {
    id: manifest.config.digest,
    sizeBytes: manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size),
    config,
  };
}

/** Files of the layers, lowest first. */
export async function layersOf(layout: string): Promise<readonly string[]> {
  const { layers } = await readManifest(layout);
  return layers.map(({ digest }) => blobPath(layout, digest));
}

async function readManifest(layout: string) {
  const index = IndexSchema.parse(await readJson(join(layout, "index.json")));
  const [descriptor] = index.manifests;
  if (descriptor === undefined) throw imageError("IMAGE_INVALID", "the image holds no manifest");
  return ManifestSchema.parse(await readJson(blobPath(layout, descriptor.digest)));
}

/** A layout of one uncompressed layer; the tar is linked, not copied, where the disk allows it. */
export async function makeLayout(
  layout: string,
  rootfsTar: string,
  imageConfig: Readonly<Record<string, unknown>>,
): Promise<void> {
  await mkdir(join(layout, "blobs", "sha256"), { recursive: true });
  const layerDigest = await sha256OfFile(rootfsTar);
  const layerPath = blobPath(layout, layerDigest);
  await link(rootfsTar, layerPath).catch(() => copyFile(rootfsTar, layerPath));
  const layer = {
    mediaType: "application/vnd.oci.image.layer.v1.tar",
    digest: layerDigest,
    size: (await stat(rootfsTar)).size,
  };
  const config = await writeBlob(layout, "application/vnd.oci.image.config.v1+json", {
    ...imageConfig,
    rootfs: { type: "layers", diff_ids: [layerDigest] },
  });
  const manifest = await writeBlob(layout, "application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: [layer],
  });
  await writeFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await writeFile(
    join(layout, "index.json"),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...manifest, annotations: { "org.opencontainers.image.ref.name": "image" } }],
    }),
  );
}

function blobPath(layout: string, digest: string): string {
  return join(layout, "blobs", ...digest.split(":"));
}

async function writeBlob(layout: string, mediaType: string, value: unknown) {
  const bytes = Buffer.from(JSON.stringify(value));
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  await writeFile(blobPath(layout, digest), bytes);
  return { mediaType, digest, size: bytes.length };
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return `sha256:${hash.digest("hex")}`;
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"));
}
