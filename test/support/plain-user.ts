/**
 * A throw-away user of this machine who is not root: a home and a cache of its own, and this clone under
 * a path that it may enter. Needs root to become somebody else.
 */
import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { guestFolder } from "./guest-image.ts";
import { makeTempHome, type TempHome } from "./temp-home.ts";

export interface PlainUser extends AsyncDisposable {
  readonly uid: number;
  readonly home: TempHome;
  readonly cache: string;
  /** This clone, as the user sees it. */
  readonly clone: string;
  /** What turns a command into the user's. */
  readonly prefix: readonly string[];
}

// Nobody's, on any machine that people log in to.
const uid = 61_234;

/** Why it cannot be made; undefined when it can. */
export function plainUserObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can become a user without root";
  try {
    execFileSync("setpriv", [...identity, process.execPath, "--version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return `another user cannot run ${process.execPath}`;
  }
}

const identity = ["--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups", "--no-new-privs"];

export async function makePlainUser(): Promise<PlainUser> {
  const home = await makeTempHome();
  const cache = join(home.path, "cache");
  mkdirSync(cache);
  // As set up by somebody else: readable, not the user's to write to.
  execFileSync("cp", ["-r", "--preserve=mode,timestamps", guestFolder(), join(cache, "guest")]);
  for (const path of [home.path, cache]) chownSync(path, uid, uid);
  const clone = mkdtempSync("/tmp/kc-");
  execFileSync("mount", ["--bind", join(import.meta.dirname, "..", ".."), clone]);
  return {
    ...{ uid, home, cache, clone },
    prefix: ["setpriv", ...identity, "--"],
    async [Symbol.asyncDispose]() {
      execFileSync("umount", ["-l", clone]);
      rmdirSync(clone);
      await home[Symbol.asyncDispose]();
    },
  };
}
