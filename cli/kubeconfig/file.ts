/** Reading and writing kubeconfig files under kubectl's lock, whole or not at all. */
import { randomBytes } from "node:crypto";
import { chmod, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { cliError } from "../errors.ts";
import { withKubeconfigLock } from "./lock.ts";
import {
  type ClusterEntry,
  findInKubeconfig,
  mergeKubeconfig,
  removeFromKubeconfig,
} from "./merge.ts";
import { type KubeconfigTarget, kubeconfigFiles, kubeconfigToWrite } from "./paths.ts";

/** Writes our entries; answers the file it wrote to. */
export async function writeKubeconfigEntry(
  target: KubeconfigTarget,
  entry: ClusterEntry,
  options: { readonly switchContext: boolean },
): Promise<string> {
  const file = kubeconfigToWrite(target);
  await withKubeconfigLock(file, async () => {
    const before = (await readIfThere(file)) ?? "";
    const after = mergeKubeconfig(before, entry, options);
    // An unchanged file keeps its time: `up` on a running instance comes here each time.
    if (after !== before) await replaceFile(file, after);
  });
  return file;
}

/**
 * Takes our entries out of every file of the list; answers those it changed. With `authority`, entries of
 * that name that trust another CA stay: they belong to an instance of the same name in another home.
 */
export async function removeKubeconfigEntry(
  target: KubeconfigTarget,
  name: string,
  authority?: string,
): Promise<readonly string[]> {
  const changed: string[] = [];
  for (const file of kubeconfigFiles(target)) {
    const text = await readIfThere(file);
    // A text that never names us needs no lock and may be as broken as it likes.
    if (text === undefined || !text.includes(name)) continue;
    await withKubeconfigLock(file, async () => {
      const before = (await readIfThere(file)) ?? "";
      const theirs = findInKubeconfig(before, name)?.certificateAuthorityData;
      if (authority !== undefined && theirs !== undefined && theirs !== authority) return;
      const after = removeFromKubeconfig(before, name);
      if (after === undefined) return;
      await replaceFile(file, after);
      changed.push(file);
    });
  }
  return changed;
}

export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw cliError("KUBECONFIG_INVALID", `cannot read ${file}`, { cause: error });
  }
}

async function replaceFile(file: string, text: string): Promise<void> {
  // A kubeconfig is often a link into a dotfiles folder: the link must stay one.
  const target = await realpath(file).catch(() => file);
  const temporary = `${target}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: "wx" });
    await chmod(temporary, 0o600);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw cliError("KUBECONFIG_LOCKED", `cannot write ${file}`, {
      cause: error,
      hint: "check who may write there and whether the disk is full, or use --kubeconfig FILE",
    });
  }
}
