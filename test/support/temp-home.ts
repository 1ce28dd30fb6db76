/** A home folder for one test: short, because unix socket paths end at 107 bytes. */
import { mkdtemp, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

export interface TempHome extends AsyncDisposable {
  readonly path: string;
  /** Instance names must differ, too: network namespaces are named after them. */
  readonly instance: string;
}

export async function makeTempHome(): Promise<TempHome> {
  const path = await mkdtemp("/tmp/kh-");
  return {
    path,
    instance: `t${path.slice(-6).toLowerCase()}`,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** The guest kernel and images of this machine: made once by scripts/setup, shared by every test. */
export function sharedCache(): string {
  return (
    process.env.KATASIM_CACHE ??
    join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "katasim")
  );
}
