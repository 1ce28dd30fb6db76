/**
 * The addresses host-local gave out: a file each, named after the address, holding the sandbox id
 * (containernetworking/plugins, plugins/ipam/host-local/backend/disk).
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";

/** Gives back what belongs to no sandbox of `keep`; no plugin may be at work. */
export async function releaseLeases(folder: string, keep: ReadonlySet<string>): Promise<void> {
  const names = await readdir(folder).catch(() => [] as string[]);
  for (const name of names.filter((each) => isIP(each) !== 0)) {
    const file = join(folder, name);
    const [owner = ""] = (await readFile(file, "utf8")).split(/\r?\n/);
    if (!keep.has(owner.trim())) await rm(file, { force: true });
  }
}
