/** Images from files and from Docker Engine: finds out what the source is and what it is called. */
import { createWriteStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { isSimError, messageOf } from "../../common/errors.ts";
import { runCommand } from "../command.ts";
import { connectEngine } from "../docker/dockerode-engine.ts";
import { imageError } from "./errors.ts";
import { throwIfFull } from "./skopeo.ts";

export interface ImageSource {
  /** containers-transports(5) name for skopeo. */
  readonly transport: string;
  /** What the source calls it, if anything. */
  readonly name: string | undefined;
}

const DockerManifestSchema = z.array(z.object({ RepoTags: z.array(z.string()).nullish() }));
const OciIndexSchema = z.object({
  manifests: z.array(z.object({ annotations: z.record(z.string(), z.string()).optional() })),
});
// What `docker save`, `skopeo copy` and `nerdctl save` put the name in, the full one first.
const nameAnnotations = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/** Every image of an archive or OCI layout. */
export async function sourcesOfFile(path: string): Promise<readonly ImageSource[]> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) {
    throw imageError("IMAGE_SOURCE_INVALID", `there is no file or folder ${path}`, {
      hint: "Give a `docker save` archive, an OCI archive, an OCI layout folder or docker:NAME.",
    });
  }
  if (info.isDirectory()) {
    const index = await readFile(join(path, "index.json"), "utf8").catch(() => undefined);
    if (index === undefined) throw noImage(path);
    return ociSources(`oci:${path}`, index, path);
  }
  const manifest = await tarMember(path, "manifest.json");
  if (manifest !== undefined) return dockerSources(path, manifest);
  const index = await tarMember(path, "index.json");
  if (index === undefined) throw noImage(path);
  return ociSources(`oci-archive:${path}`, index, path);
}

/** Writes `docker save NAME` to `file`. */
export async function saveFromDocker(name: string, file: string): Promise<void> {
  try {
    const archive = await connectEngine().saveImage(name);
    await pipeline(archive, createWriteStream(file, { mode: 0o600 }));
  } catch (error) {
    throwIfFull(messageOf(error));
    if (isSimError(error) && error.code === "ENGINE_NOT_FOUND") {
      throw imageError("IMAGE_NOT_FOUND", `Docker Engine holds no image ${name}`, { cause: error });
    }
    throw imageError("DOCKER_ENGINE_FAILED", messageOf(error), {
      cause: error,
      hint: "Start Docker, or set DOCKER_HOST.",
    });
  }
}

function dockerSources(path: string, text: string): readonly ImageSource[] {
  const images = parse(DockerManifestSchema, text, path);
  return images.map(({ RepoTags }, position) => {
    const name = RepoTags?.[0];
    return { transport: `docker-archive:${path}:${name ?? `@${position}`}`, name };
  });
}

function ociSources(transport: string, text: string, path: string): readonly ImageSource[] {
  const { manifests } = parse(OciIndexSchema, text, path);
  if (manifests.length === 0) throw noImage(path);
  return manifests.map(({ annotations }) => {
    const tag = annotations?.["org.opencontainers.image.ref.name"];
    const name = nameAnnotations.map((key) => annotations?.[key]).find((text) => text);
    return {
      transport: tag === undefined ? transport : `${transport}:${tag}`,
      // A bare tag such as "latest" names nothing.
      name: name !== undefined && /[/:]/.test(name) ? name : undefined,
    };
  });
}

/** GNU tar sees through compression by itself. */
async function tarMember(path: string, member: string): Promise<string | undefined> {
  for (const name of [member, `./${member}`]) {
    const result = await runCommand("tar", ["-xOf", path, name], { timeoutMs: 120_000 });
    if (result.ok) return result.stdout;
  }
  return undefined;
}

function parse<T>(schema: z.ZodType<T>, text: string, path: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw imageError("IMAGE_SOURCE_INVALID", `${path} holds no readable image index`, {
      cause: error,
    });
  }
}

function noImage(path: string) {
  return imageError(
    "IMAGE_SOURCE_INVALID",
    `${path} is no image: neither manifest.json nor index.json inside`,
    {
      hint: "Give a `docker save` archive, an OCI archive or an OCI layout folder.",
    },
  );
}
