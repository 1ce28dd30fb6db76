/**
 * What an instance may leave behind by mistake: processes, mounts, network namespaces, sockets, cgroups.
 * Looks at the kernel's own lists and shares no code with the product.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export interface LeakScope {
  /** Everything of the instance lives under it. */
  readonly home: string;
  readonly instance: string;
}

/** One line per leak; empty when all is gone. */
export function findLeaks(scope: LeakScope): readonly string[] {
  return [
    ...processes(scope),
    ...mounts(scope),
    ...netns(scope),
    ...cables(scope),
    ...sockets(scope),
    ...cgroups(scope),
  ];
}

/** Processes that name the home in their arguments, work in it, or write to it. */
export function processes({ home }: LeakScope): readonly string[] {
  const inHome = `${home}/`;
  return numericEntries("/proc")
    .filter((pid) => pid !== String(process.pid))
    .flatMap((pid) => {
      const cmdline = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
      const places = [link(`/proc/${pid}/cwd`), ...openFiles(pid)];
      const uses =
        cmdline.includes(inHome) || places.some((place) => `${place}/`.startsWith(inHome));
      return uses ? [`process ${pid}: ${cmdline.slice(0, 200)}`] : [];
    });
}

function mounts({ home }: LeakScope): readonly string[] {
  return read("/proc/self/mountinfo")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${home}/`))
    .map((point) => `mount ${point}`);
}

function netns({ instance }: LeakScope): readonly string[] {
  const own = `katasim-${instance}`;
  return (existsSync("/run/netns") ? readdirSync("/run/netns") : [])
    .filter((name) => name.startsWith(own))
    .map((name) => `network namespace ${name}`);
}

/** The machine's end of the cable to the node bears the node's name as its alias. */
function cables({ instance }: LeakScope): readonly string[] {
  return readdirSync("/sys/class/net")
    .filter((device) => read(`/sys/class/net/${device}/ifalias`).startsWith(`katasim-${instance}`))
    .map((device) => `network device ${device}`);
}

function sockets({ home }: LeakScope): readonly string[] {
  return read("/proc/net/unix")
    .split("\n")
    .map((line) => line.split(" ").at(-1) ?? "")
    .filter((path) => path.startsWith(`${home}/`))
    .map((path) => `unix socket ${path}`);
}

/** Cgroups of a pod name its sandbox; the instance's own name is part of the path. */
function cgroups({ instance }: LeakScope): readonly string[] {
  const found: string[] = [];
  const visit = (folder: string, depth: number) => {
    for (const name of subfolders(folder)) {
      const path = join(folder, name);
      if (name.startsWith(`katasim-${instance}`)) found.push(`cgroup ${path}`);
      else if (depth < 3) visit(path, depth + 1);
    }
  };
  visit("/sys/fs/cgroup", 0);
  return found;
}

function subfolders(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function openFiles(pid: string): readonly string[] {
  return numericEntries(`/proc/${pid}/fd`).map((fd) => link(`/proc/${pid}/fd/${fd}`));
}

function numericEntries(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
