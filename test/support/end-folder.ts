/** Ends what an engine or containerd left in its folder: shims that a killed one or a failed test leaves. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { waitUntil } from "./wait-until.ts";

/** Kills who names the folder in its arguments, and unmounts all below it. Idempotent. */
export async function endFolder(folder: string): Promise<void> {
  const left = () =>
    processes().filter(({ line }) => line.includes(`${folder}/`) && !line.includes("vitest"));
  for (const { pid } of left()) kill(pid);
  await waitUntil(() => left().length === 0, { what: `the processes of ${folder} to end` });
  for (const point of mountsUnder(folder)) execFileSync("umount", ["-l", point]);
}

function processes(): ReadonlyArray<{ readonly pid: number; readonly line: string }> {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map((name) => ({ pid: Number(name), line: commandLine(name) }));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

function mountsUnder(folder: string): readonly string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${folder}/`))
    .reverse();
}
