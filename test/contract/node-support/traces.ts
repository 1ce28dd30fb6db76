/** What a node may have left on the machine: processes, mounts, namespaces, cgroups, sockets. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** One line for each trace; polls for a moment, since the kernel takes down namespaces by itself. */
export async function traces(name: string, home: string): Promise<readonly string[]> {
  for (let attempt = 0; ; attempt++) {
    const found = look(name, home);
    if (found.length === 0 || attempt === 50) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function look(name: string, home: string): string[] {
  const netns = list("/run/netns").filter((entry) => entry.startsWith(`katasim-${name}`));
  const cables = list("/sys/class/net").filter((device) =>
    read(`/sys/class/net/${device}/ifalias`).startsWith(`katasim-${name}`),
  );
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${home}/`));
  const processes = list("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .map((pid) => [pid, commandLine(pid)] as const)
    .filter(([, line]) => line.includes(`katasim-${name}`) || line.includes(`${home}/`))
    .map(([pid, line]) => `${pid} ${line}`);
  const cgroups = ["", ...list("/sys/fs/cgroup")]
    .flatMap((tree) => {
      const folder = join("/sys/fs/cgroup", tree);
      return list(folder).map((entry) => join(folder, entry));
    })
    .filter((folder) => basename(folder).startsWith(`katasim-${name}`));
  return [
    ...netns.map((entry) => `netns ${entry}`),
    ...cables.map((entry) => `device ${entry}`),
    ...mounts.map((entry) => `mount ${entry}`),
    ...processes.map((entry) => `process ${entry}`),
    ...cgroups.map((entry) => `cgroup ${entry}`),
  ];
}

function commandLine(pid: string): string {
  return read(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
