/**
 * Where a VMM runs on the host: as a user of its own, who owns nothing and whom nobody else is, in a
 * mount namespace of its own. There `lentFolder` holds the files that it was lent, so no folder that is
 * closed to others has to be opened to it; what was lent goes with the process. The idea is that of
 * Firecracker's jailer (firecracker docs/jailer.md), the files are lent one by one.
 */
import { createHash } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { runProgram } from "../../common/process/run-program.ts";
import { shimError } from "../errors.ts";

export interface VmmPlace {
  /** Its user and its group. */
  readonly uid: number;
  /** Path of the program that `native/vmm-place.c` becomes. */
  readonly program: string;
  /** Devices it may use, which on the host may be root's alone. */
  readonly devices: readonly Device[];
}

export interface Device {
  readonly path: string;
  readonly major: number;
  readonly minor: number;
}

/** Empty on the host; in the VMM's namespace, what it was lent. */
export const lentFolder = "/run/katasim-vmm";
const socketFolder = "s";

// systemd leaves the range to nobody (docs/UIDS-GIDS.md: "Unused"); a uid of it has no files and no name.
const firstUid = 2_000_000_000;
const uidBits = 24;
// CAP_CHOWN, CAP_SETUID, CAP_SYS_ADMIN of linux/capability.h.
const neededCapabilities = [0, 7, 21];

/**
 * The place for a sandbox's VMM; undefined where this process cannot make one: it is not root, or a
 * root that may not mount. `devices` that are not there are left out.
 */
export function vmmPlace(
  sandboxId: string,
  program: string,
  devices: readonly string[],
): VmmPlace | undefined {
  const digest = createHash("sha256").update(sandboxId).digest();
  const uid = firstUid + digest.readUIntBE(0, uidBits / 8);
  if (!mayMakePlaces(uid)) return undefined;
  return { uid, program, devices: devices.flatMap(deviceAt) };
}

function deviceAt(path: string): Device[] {
  try {
    const { rdev } = statSync(path);
    // glibc's gnu_dev_major and gnu_dev_minor, for numbers of the usual size.
    return [{ path, major: (rdev >> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00) }];
  } catch {
    return [];
  }
}

function mayMakePlaces(uid: number): boolean {
  if (process.getuid?.() !== 0) return false;
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  const capabilities = BigInt(`0x${effective ?? "0"}`);
  if (neededCapabilities.some((bit) => ((capabilities >> BigInt(bit)) & 1n) === 0n)) return false;
  // In a user namespace only some numbers are users.
  return readFileSync("/proc/self/uid_map", "utf8")
    .trim()
    .split("\n")
    .some((line) => {
      const [first = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
      return uid >= first && uid < first + count;
    });
}

/**
 * The folder for sockets between shim and VMM. The VMM may make sockets in it, and may not take away
 * the shim's.
 */
export function makeSocketFolder(folder: string, place: VmmPlace | undefined): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (place === undefined) return;
  chownSync(folder, 0, place.uid);
  chmodSync(folder, 0o1770);
}

/** Lets the VMM use a file, socket or folder that is its sandbox's alone. */
export function giveTo(place: VmmPlace | undefined, path: string): void {
  if (place !== undefined) chownSync(path, place.uid, place.uid);
}

/** Takes it back from the VMM that wrote it: others may read it, and nobody may change it. */
export function closeToVmm(path: string, mode = 0o444): void {
  chownSync(path, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
  chmodSync(path, mode);
}

/** How the VMM of a place calls a socket of its folder; without a place, as everybody does. */
export function socketInPlace(place: VmmPlace | undefined, path: string): string {
  return place === undefined ? path : join(lentFolder, socketFolder, basename(path));
}

/** How it calls a file that it was lent when it was started or later. */
export function fileInPlace(place: VmmPlace | undefined, path: string, name: string): string {
  return place === undefined ? path : join(lentFolder, name);
}

/**
 * Words before a command that bring it into its place. `files` are lent by name, `tap` is made in its own
 * network namespace, where it has one.
 */
export function enterPlace(
  { uid, devices, program }: VmmPlace,
  sockets: string,
  {
    files,
    smallPages,
    ownNetwork,
    tap,
  }: {
    readonly files: Readonly<Record<string, string>>;
    /** No huge pages: for a VMM that emulates in software. */
    readonly smallPages: boolean;
    readonly ownNetwork: boolean;
    readonly tap: string | undefined;
  },
): readonly string[] {
  return [
    ...[program, "enter", String(uid), sockets],
    ...(smallPages ? ["--small-pages"] : []),
    ...(ownNetwork ? ["--own-network"] : []),
    ...(tap === undefined ? [] : ["--tap", tap]),
    ...Object.entries(files).flatMap(([name, file]) => ["--lend", name, file]),
    ...devices.flatMap(({ path, major, minor }) => [
      ...["--device", path, String(major), String(minor)],
    ]),
    "--",
  ];
}

/** Must be there before a VMM enters its place. */
export function makeLentFolder(): void {
  mkdirSync(lentFolder, { recursive: true, mode: 0o755 });
}

/** Lends a running VMM one more file or folder; answers how it calls it. Rejects with DISK. */
export async function lend(
  place: VmmPlace | undefined,
  vmmPid: number,
  path: string,
  name: string,
): Promise<string> {
  if (place === undefined) return path;
  const lent = fileInPlace(place, path, name);
  const outcome = await runProgram(place.program, ["lend", String(vmmPid), path, name]);
  if (outcome.ok) return lent;
  throw shimError("DISK", `cannot lend ${path} to the VMM: ${outcome.stderr}`);
}

/** Idempotent; a VMM that is gone has nothing any more. */
export async function takeBack(
  place: VmmPlace | undefined,
  vmmPid: number,
  name: string,
): Promise<void> {
  if (place === undefined) return;
  await runProgram(place.program, ["take-back", String(vmmPid), name]);
}
