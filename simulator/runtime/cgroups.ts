/**
 * The cgroup folders of pods: which version the machine has, where a container's lies, and removal
 * of the parents that shims leave behind. Works on v1 (one tree per controller) and v2.
 */
import { existsSync } from "node:fs";
import { readdir, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";

const root = "/sys/fs/cgroup";

export function hostCgroupVersion(): 1 | 2 {
  return existsSync(join(root, "cgroup.controllers")) ? 2 : 1;
}

export function podCgroup(instance: string, podUid: string): string {
  return `/katasim-${instance}/pod${podUid}`;
}

/** Removes the pod's folders, and the node's once it is empty. What is still in use stays. */
export async function removePodCgroup(instance: string, podUid: string): Promise<void> {
  const trees = hostCgroupVersion() === 2 ? [root] : await controllerTrees();
  await Promise.all(
    trees.map(async (tree) => {
      const pod = join(tree, podCgroup(instance, podUid));
      // The shim may have removed the pod's folder with its own, and left the node's to us.
      for (const name of await folders(pod)) await rmdir(join(pod, name)).catch(() => undefined);
      await rmdir(pod).catch(() => undefined);
      await rmdir(join(tree, `katasim-${instance}`)).catch(() => undefined);
    }),
  );
}

/** How many processes of the container the kernel killed for memory; undefined when unknown. */
export async function oomKills(cgroupsPath: string): Promise<number | undefined> {
  const file =
    hostCgroupVersion() === 2
      ? join(root, cgroupsPath, "memory.events")
      : join(root, "memory", cgroupsPath, "memory.oom_control");
  const text = await readFile(file, "utf8").catch(() => "");
  const count = /^oom_kill (\d+)$/m.exec(text)?.[1];
  return count === undefined ? undefined : Number(count);
}

async function controllerTrees(): Promise<readonly string[]> {
  return (await folders(root)).map((name) => join(root, name));
}

async function folders(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
