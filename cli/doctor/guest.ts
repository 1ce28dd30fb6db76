/** What the guest is made of. */
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { release } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Paths } from "../../common/paths.ts";
import { type Check, type CheckResult, failed, ok, warning } from "./check.ts";

const ReleaseSchema = z.object({ kernelRelease: z.string(), agentVersion: z.string().optional() });
const mend = "./scripts/build-guest   (or ./scripts/setup)";
/** Smaller files are leftovers of a build that was cut short. */
const minimumBytes = 4096;

export function guestChecks(paths: Paths): readonly Check[] {
  return [() => checkGuest(paths.guest), () => checkBaseImage(paths.guest)];
}

async function checkGuest(folder: string): Promise<CheckResult> {
  const id = "guest";
  for (const name of ["vmlinux", "initramfs.cpio", "pause/pause"]) {
    const size = (await stat(join(folder, name)).catch(() => undefined))?.size;
    if (size === undefined) return failed(id, `${join(folder, name)} is missing`, mend);
    if (size < minimumBytes) return failed(id, `${join(folder, name)} is cut short`, mend);
  }
  const text = await readFile(join(folder, "release.json"), "utf8").catch(() => "{}");
  const parsed = ReleaseSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    return failed(id, `${join(folder, "release.json")} cannot be read`, mend);
  }
  const { kernelRelease } = parsed.data;
  return kernelRelease === release()
    ? warning(
        id,
        `the guest's kernel ${kernelRelease} is the host's, too: only boot ids tell them apart`,
        mend,
      )
    : ok(id, `guest kernel ${kernelRelease} (this machine runs ${release()})`);
}

async function checkBaseImage(folder: string): Promise<CheckResult> {
  return existsSync(join(folder, "base-image", "rootfs.tar"))
    ? ok("base-image", "the built-in base image is there: pods run without any registry")
    : warning("base-image", "the built-in base image was not made; pods need a registry", mend);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
