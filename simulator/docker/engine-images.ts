/**
 * Hands images of the node's store to the engine, once for each digest: the unpacked root goes in as
 * a tar of one layer. Names, aliases and mirrors are thus the node's, whichever adapter runs the pod.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { Paths } from "../../common/paths.ts";
import { runCommand } from "../command.ts";
import type { ImageStore } from "../images/index.ts";
import { runtimeError } from "../runtime/errors.ts";
import type { DockerEngine } from "./engine.ts";
import { imageLabel } from "./labels.ts";

// Like image names of the node that no registry has. The tag is the digest: never two contents.
const repository = "katasim.local/store";

// Gigabytes on a slow disk take minutes.
const extractTimeoutMs = 15 * 60_000;

// Enough of tar's complaints to tell what is wrong.
const maxWords = 1000;

export interface EngineImages {
  /** Name in the engine of the store's image, handed over first if need be. */
  ensure(id: string): Promise<string>;
  /** The same for the program that holds a pod's namespaces. */
  ensurePause(): Promise<string>;
}

/** Lends the folder that the image's files are in: only an image that the engine lacks needs it. */
type Source = (use: (folder: string) => Promise<void>) => Promise<void>;

export function createEngineImages(
  engine: DockerEngine,
  store: ImageStore,
  paths: Pick<Paths, "guest">,
): EngineImages {
  const running = new Map<string, Promise<string>>();

  /** Several containers at once hand an image over once. */
  function once(digest: string, members: readonly string[], source: Source): Promise<string> {
    const current = running.get(digest);
    if (current !== undefined) return current;
    const work = handOver(digest, members, source).finally(() => running.delete(digest));
    running.set(digest, work);
    return work;
  }

  async function handOver(digest: string, members: readonly string[], source: Source) {
    const name = `${repository}:${digest.replace(/^sha256:/, "")}`;
    if (await engine.hasImage(name)) return name;
    await source(async (folder) => {
      const tar = Readable.from(tarOf(folder, members), { objectMode: false });
      await engine.importImage(name, tar, { [imageLabel]: digest });
    });
    return name;
  }

  return {
    async ensure(id) {
      const { rootfs } = store.content(id);
      // Without root the store holds no unpacked image.
      const source: Source =
        rootfs === undefined
          ? async (use) => withExtracted(await store.erofs(id), use)
          : (use) => use(rootfs);
      return once(id, ["."], source);
    },
    async ensurePause() {
      const folder = join(paths.guest, "pause");
      const program = await readFile(join(folder, "pause")).catch((error: unknown) => {
        throw runtimeError("SANDBOX_CREATE_FAILED", "the pause program is missing", {
          cause: error,
          hint: "Run scripts/setup: it builds the programs that pods need.",
        });
      });
      const digest = createHash("sha256").update(program).digest("hex");
      return once(`sha256:${digest}`, ["pause"], (use) => use(folder));
    },
  };
}

/** The folder is gone when the callback is done. */
async function withExtracted(erofs: string, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "katasim-image-"));
  try {
    const root = join(folder, "root");
    const args = [`--extract=${root}`, "--preserve-perms", erofs];
    const result = await runCommand("fsck.erofs", args, { timeoutMs: extractTimeoutMs });
    if (!result.ok) {
      throw runtimeError(
        "CONTAINER_CREATE_FAILED",
        `the image cannot be handed to Docker Engine: ${result.stderr}`,
        result.missing ? { hint: "Install the Debian package erofs-utils." } : {},
      );
    }
    await use(root);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Not root: what was unpacked belongs to this user, and is root's inside the container. Fails before
 * its end when tar does: half a tar must not become an image.
 */
async function* tarOf(folder: string, members: readonly string[]): AsyncGenerator<Buffer> {
  const owner = process.getuid?.() === 0 ? [] : ["--owner=0", "--group=0"];
  const xattrs = ["--xattrs", "--xattrs-include=security.capability"];
  const child = spawn(
    "tar",
    ["-C", folder, "--numeric-owner", ...owner, ...xattrs, "-c", ...members],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    if (said.length < maxWords) said += chunk.toString("utf8");
  });
  const ended = new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(`tar cannot run: ${error.message}`));
    child.once("close", (code) => {
      resolve(code === 0 ? undefined : `tar: ${said.trim() || `exit code ${code}`}`);
    });
  });
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    const why = await ended;
    if (why === undefined) return;
    throw runtimeError(
      "CONTAINER_CREATE_FAILED",
      `the image cannot be handed to Docker Engine: ${why}`,
    );
  } finally {
    child.kill("SIGKILL");
  }
}
