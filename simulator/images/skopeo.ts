/** Copies an image from anywhere into an OCI layout folder by skopeo, and reads skopeo's complaints. */
import { runCommand } from "../command.ts";
import { imageError } from "./errors.ts";

// A pull that takes longer than this is taken for stuck; large images on slow lines take minutes.
const copyTimeoutMs = 10 * 60_000;

export interface SkopeoFailure {
  /** The registry's (or skopeo's) own words. */
  readonly words: string;
  /** Nobody answered for the registry, as against: it answered and refused. */
  readonly unreachable: boolean;
}

/**
 * Answers undefined on success. `source` is a containers-transports(5) name, e.g.
 * "docker://docker.io/library/nginx:latest" or "docker-archive:/tmp/a.tar".
 */
export async function copyToLayout(
  source: string,
  layout: string,
  options: { readonly signal?: AbortSignal | undefined; readonly plainHttpAllowed?: boolean } = {},
): Promise<SkopeoFailure | undefined> {
  const result = await runCommand(
    "skopeo",
    [
      // Images are what the user named; signature policies are not simulated, and machines without
      // containers-common have no policy file at all.
      "--insecure-policy",
      "copy",
      "--quiet",
      ...(options.plainHttpAllowed ? ["--src-tls-verify=false"] : []),
      source,
      `oci:${layout}:image`,
    ],
    { timeoutMs: copyTimeoutMs, signal: options.signal },
  );
  if (result.ok) return undefined;
  if (result.missing) {
    throw imageError("IMAGE_TOOL_MISSING", "skopeo is not installed", {
      hint: "Install the Debian package skopeo.",
    });
  }
  if (result.timedOut) {
    const words = `no end after ${copyTimeoutMs / 60_000} minutes`;
    return { words, unreachable: false };
  }
  const words = lastMessage(result.stderr);
  throwIfFull(words);
  // "pinging" is containers/image's first request (/v2/): failing there means that nothing which
  // speaks the registry protocol answered.
  return { words, unreachable: /pinging container registry/.test(words) };
}

/** skopeo logs `time="…" level=fatal msg="…"`; the last fatal line is the reason. */
export function lastMessage(stderr: string): string {
  const fatal = stderr
    .split("\n")
    .map((line) => /level=fatal msg=("(?:[^"\\]|\\.)*"|\S+)/.exec(line)?.[1])
    .filter((text) => text !== undefined)
    .at(-1);
  if (fatal === undefined) return stderr.split("\n").at(-1) ?? stderr;
  try {
    return fatal.startsWith('"') ? (JSON.parse(fatal) as string) : fatal;
  } catch {
    return fatal;
  }
}

/** A full disk is the machine's fault, not the image's. */
export function throwIfFull(words: string): void {
  if (!/no space left on device|disk quota exceeded/i.test(words)) return;
  throw imageError("IMAGE_STORE_FULL", `the image store's disk is full: ${words}`, {
    hint: "Free disk space, or remove images with `katasim image remove`.",
  });
}
