/**
 * A volumeMount's subPath as a host path that stays inside its volume, whatever links a container
 * has put there: kubernetes pkg/volume/util/subpath (CVE-2017-1002101). The answer has no link left
 * in it, so what was checked is what gets bound.
 */
import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { agentError } from "../errors.ts";

/** Makes missing folders. Rejects with CONTAINER_CONFIG when the path leaves the volume. */
export async function resolveSubPath(volumePath: string, subPath: string): Promise<string> {
  const parts = subPath.split("/").filter((part) => part !== "" && part !== ".");
  if (subPath.startsWith("/") || parts.includes("..")) throw escapes(volumePath, subPath);
  const root = await realpath(volumePath);
  let at = root;
  for (const part of parts) {
    const next = join(at, part);
    let real = await realpath(next).catch(() => undefined);
    if (real === undefined) {
      // A dangling link is not followed: mkdir refuses what exists.
      await mkdir(next, { mode: 0o750 }).catch(() => {
        throw escapes(volumePath, subPath);
      });
      real = next;
    }
    if (real !== root && !real.startsWith(`${root}/`)) throw escapes(volumePath, subPath);
    at = real;
  }
  return at;
}

function escapes(volumePath: string, subPath: string) {
  return agentError(
    "CONTAINER_CONFIG",
    `failed to prepare subPath for volumeMount: subpath ${JSON.stringify(subPath)} is not within the volume path ${JSON.stringify(volumePath)}`,
  );
}
