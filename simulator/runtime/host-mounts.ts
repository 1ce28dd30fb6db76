/** Mounts this node makes or must clear away on the machine; every verb may be repeated. */
import { mkdir, readFile, rm } from "node:fs/promises";
import { runCommand } from "../command.ts";
import { runtimeError } from "./errors.ts";

// containerd's default size of a pod's /dev/shm.
const shmBytes = 64 * 1024 * 1024;

export async function mountShm(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const options = `nosuid,noexec,nodev,mode=1777,size=${shmBytes}`;
  const result = await runCommand("mount", ["-t", "tmpfs", "-o", options, "shm", folder]);
  if (result.ok) return;
  throw runtimeError("HOST_COMMAND_FAILED", `cannot mount ${folder}: ${result.stderr}`);
}

/** Mount points at or under the folder, deepest first. */
export async function mountsUnder(folder: string): Promise<readonly string[]> {
  const text = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  return text
    .split("\n")
    .map((line) => unescapeOctal(line.split(" ")[4] ?? ""))
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .reverse();
}

/** Unmounts everything under the folder, then removes it. Refuses while a mount is left. */
export async function removeTree(folder: string): Promise<void> {
  for (const point of await mountsUnder(folder)) {
    // Lazily: a process that still looks at it must not keep the pod from going.
    await runCommand("umount", ["-l", point]);
  }
  const left = await mountsUnder(folder);
  if (left.length > 0) {
    throw runtimeError("HOST_COMMAND_FAILED", `cannot unmount ${left.join(", ")}`);
  }
  await rm(folder, { recursive: true, force: true });
}

/** mountinfo writes space, tab, newline and backslash in octal (proc(5)). */
function unescapeOctal(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  );
}
