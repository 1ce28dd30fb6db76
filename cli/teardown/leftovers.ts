/**
 * What may be left of an instance whose records are gone or broken: mounts under its folders and processes
 * of its bundles. Found in the kernel's own lists, so that `down` keeps its promise after any crash.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

export interface LeftoverProcess {
  readonly pid: number;
  readonly command: string;
}

/** Only programs that katasim starts: a `tail -f` in its folders is the user's own business. */
const ourPrograms = /^(?:qemu-system-\w+|containerd-shim-runc-v2|runc|node)$/;

/** Processes whose arguments or working folder lie in `folder`; `node` only when it runs our shim. */
export function processesUnder(folder: string, procRoot = "/proc"): readonly LeftoverProcess[] {
  const inFolder = `${folder}/`;
  const found: LeftoverProcess[] = [];
  for (const name of readdirSync(procRoot)) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const argv = readFileSync(`${procRoot}/${name}/cmdline`, "utf8").split("\0");
      const program = basename(
        readlinkSync(`${procRoot}/${name}/exe`).replace(/ \(deleted\)$/, ""),
      );
      if (!ourPrograms.test(program)) continue;
      if (program === "node" && !argv.some((word) => word.includes("containerd-shim-katasim-v2"))) {
        continue;
      }
      const cwd = readlinkSync(`${procRoot}/${name}/cwd`);
      if (`${cwd}/`.startsWith(inFolder) || argv.some((word) => word.includes(inFolder))) {
        found.push({ pid, command: argv.join(" ").trim() });
      }
    } catch {
      // It ended while we looked, or is not ours to look at.
    }
  }
  return found;
}

/** Mount points at or under any of the folders, innermost first: the order to unmount them in. */
export function mountsUnder(
  folders: readonly string[],
  mountinfo = readFileSync("/proc/self/mountinfo", "utf8"),
): readonly string[] {
  return mountinfo
    .split("\n")
    .map((line) => decodeOctal(line.split(" ")[4] ?? ""))
    .filter((point) => folders.some((folder) => `${point}/`.startsWith(`${folder}/`)))
    .reverse();
}

/** proc(5): blanks, tabs, newlines and backslashes of a mount point are written as \040 … */
function decodeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
