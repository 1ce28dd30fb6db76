/** What is mounted below a folder, and how to take it away: found by looking, not by remembering. */
import { readFile } from "node:fs/promises";
import { runCommand } from "../command.ts";
import { agentError } from "../errors.ts";

/** Deepest first. */
export async function mountPointsBelow(folder: string): Promise<string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return mountPointsFrom(table)
    .filter((path) => path === folder || path.startsWith(`${folder}/`))
    .reverse();
}

/** Fifth field of proc(5) mountinfo; octal escapes as the kernel writes them. */
export function mountPointsFrom(mountinfo: string): string[] {
  return mountinfo
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path !== "")
    .map((path) =>
      path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
}

export async function unmountBelow(folder: string): Promise<void> {
  for (const path of await mountPointsBelow(folder)) {
    const result = await runCommand("umount", [path]);
    if (result.ok) continue;
    // A process that is just going may still hold it; lazily it goes as soon as that is gone.
    const lazy = await runCommand("umount", ["-l", path]);
    if (!lazy.ok) throw agentError("VOLUME_SETUP", `unmounting ${path} failed: ${lazy.stderr}`);
  }
}
