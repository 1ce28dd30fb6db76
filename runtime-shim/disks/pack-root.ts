/**
 * Packs a root file system into one erofs file. All mounts are made in a mount namespace that ends
 * with the packing, however it ends: nothing is ever to be unmounted on the host.
 */
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type ProgramOutcome, runProgram } from "../../common/process/run-program.ts";
import type { Mount } from "../../proto/containerd/gen/mount_pb.js";
import { type ShimErrorCode, shimError } from "../errors.ts";
import type { PackedTree } from "./root-tree.ts";

export const packFolder = "rootfs-pack";

/**
 * Measured on 56 MB in 942 files and on a 4 GiB sparse file: plain 0.15 s, 55 MB and 33 s, 4 GiB;
 * lz4 0.21 s, 35 MB and 4.9 s, 19 MB; lz4 in clusters of 64 KiB 0.18 s, 34 MB and 1.1 s, 19 MB.
 */
export const mkfsOptions: readonly string[] = ["-zlz4", "-C65536"];

// A gigabyte takes seconds, not minutes; another shim may be packing before us.
const packTimeoutMs = 600_000;
const lockTimeoutSeconds = 300;

const exitCode = { mount: 71, changed: 72, locked: 73 } as const;

/** For a file that others use too: made once, by whoever holds the lock. */
export interface SharedPacking {
  readonly lockFile: string;
  /** Made beside the target and renamed when it is whole. */
  readonly temporary: string;
  /** Shell command whose output must be `fingerprint`, still, when the packing is done. */
  readonly fingerprintCommand: string;
  readonly fingerprint: string;
}

/**
 * Makes `target` unless a shared one is there already. `workDir` is the container's own folder.
 * Answers "changed", with no file made, when the tree was written to meanwhile. Rejects with
 * BAD_ROOTFS or DISK.
 */
export async function packRoot(
  tree: PackedTree,
  target: string,
  workDir: string,
  shared?: SharedPacking,
): Promise<"packed" | "changed"> {
  const folder = join(workDir, packFolder);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "root"), { recursive: true, mode: 0o700 });
  try {
    const outcome = await runProgram("setpriv", command(tree, target, folder, shared), {
      timeoutMs: packTimeoutMs,
    });
    if (outcome.ok) return "packed";
    if (outcome.exitCode === exitCode.changed) return "changed";
    throw packError(tree, target, outcome);
  } finally {
    // Empty folders and links: what was mounted here was mounted in another namespace.
    rmSync(folder, { recursive: true, force: true });
  }
}

function command(
  tree: PackedTree,
  target: string,
  folder: string,
  shared: SharedPacking | undefined,
): readonly string[] {
  const temporary = shared?.temporary ?? target;
  const lines = [
    "set -eu",
    `cd ${quote(folder)}`,
    ...(shared === undefined ? [] : [`[ ! -e ${quote(target)} ] || exit 0`]),
    `rm -f ${quote(temporary)}`,
    ...mountLines(tree, folder, shared !== undefined).map(
      (line) => `${line} || exit ${exitCode.mount}`,
    ),
    // It ends with this shell, too.
    `setpriv --pdeathsig KILL mkfs.erofs --quiet ${mkfsOptions.join(" ")} ${quote(temporary)} root >&2 ||
      { rm -f ${quote(temporary)}; exit 1; }`,
    // Readable for a VMM that is not root; the folder keeps others out.
    `chmod 0444 ${quote(temporary)}`,
    ...(shared === undefined ? [] : publishLines(shared, target)),
  ];
  return [
    ...["--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation", "private", "--"],
    ...(shared === undefined
      ? []
      : ["flock", "--no-fork", "-w", `${lockTimeoutSeconds}`, "-E", `${exitCode.locked}`]),
    ...(shared === undefined ? [] : [shared.lockFile]),
    ...["sh", "-c", lines.join("\n")],
  ];
}

/** A file that has its name is whole, also after a power cut. */
function publishLines(shared: SharedPacking, target: string): readonly string[] {
  const temporary = quote(shared.temporary);
  return [
    `[ "$(${shared.fingerprintCommand})" = ${quote(shared.fingerprint)} ] ||
      { rm -f ${temporary}; exit ${exitCode.changed}; }`,
    `sync ${temporary} || { rm -f ${temporary}; exit 1; }`,
    `mv ${temporary} ${quote(target)}`,
  ];
}

function mountLines(tree: PackedTree, folder: string, shared: boolean): readonly string[] {
  if (tree.kind === "folder") return [`mount -o bind,ro -- ${quote(tree.path)} root`];
  if (tree.kind === "mounts") return tree.mounts.map(mountLine);
  const { lower, upper } = tree;
  // Links, because mount(2) takes one page of options, and names may hold colons and commas.
  for (const [index, path] of lower.entries()) symlinkSync(path, join(folder, `${index}`));
  if (upper !== undefined && shared) {
    // Stands for all containers' empty upper folders, which give the merged root its attributes.
    const { uid, gid, mode } = statSync(upper);
    mkdirSync(join(folder, "upper"));
    chownSync(join(folder, "upper"), uid, gid);
    chmodSync(join(folder, "upper"), mode & 0o7777);
  } else if (upper !== undefined) symlinkSync(upper, join(folder, "upper"));
  const layers = [...(upper === undefined ? [] : ["upper"]), ...lower.keys()];
  // Without an upper layer of its own the mount can write nowhere.
  const options = ["ro", ...tree.options, `lowerdir=${layers.join(":")}`];
  return [`mount -t overlay -o ${quote(options.join(","))} overlay root`];
}

function mountLine({ type, source, options }: Mount): string {
  const bind = type === "bind" || options.some((word) => word === "bind" || word === "rbind");
  const words = options.filter((word) => word !== "rbind" && word !== "bind" && word !== "rw");
  const list = [...words, ...(bind ? ["bind"] : []), "ro"].join(",");
  const kind = bind ? "" : `-t ${quote(type)} `;
  return `mount ${kind}-o ${quote(list)} -- ${quote(source)} root`;
}

function packError(tree: PackedTree, target: string, outcome: ProgramOutcome) {
  const what = tree.kind === "folder" ? tree.path : "the root file system";
  const fail = (code: ShimErrorCode, words: string, hint?: string) =>
    shimError(code, `${words}: ${outcome.stderr}`, hint === undefined ? {} : { hint });
  if (outcome.exitCode === exitCode.mount) return fail("BAD_ROOTFS", `cannot mount ${what}`);
  if (outcome.exitCode === exitCode.locked) {
    return fail("DISK", `another shim has been packing for ${lockTimeoutSeconds} s: ${target}`);
  }
  if (isDiskFull(outcome.stderr)) {
    return fail("ROOTFS_SPACE", `cannot pack ${what} for the guest`, `make room for ${target}`);
  }
  const hint = outcome.missing || /not found/.test(outcome.stderr);
  return fail(
    "BAD_ROOTFS",
    `cannot pack ${what} for the guest`,
    hint ? "install the packages erofs-utils and util-linux" : undefined,
  );
}

function isDiskFull(text: string): boolean {
  return /No space left|Error 28\b|Disk quota/.test(text);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
