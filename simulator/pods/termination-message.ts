/**
 * The message of an ended container by its terminationMessagePolicy: kubelet
 * kuberuntime_container.go getTerminationMessage.
 */
import { open } from "node:fs/promises";
import type { PodObject } from "../objects.ts";
import type { ContainerStatus } from "../runtime-port.ts";
import { specContainers } from "./pod-containers.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { readTerminationLog } from "./pod-files.ts";

// kubelet container/runtime.go: the tail of a log is at most 80 lines and 2 KiB.
const maxLogLines = 80;
const maxLogBytes = 2048;
// Enough raw log for 2 KiB of messages: each line carries about 45 bytes of CRI prefix.
const rawTailBytes = 8192;

export async function terminationMessage(
  pod: PodObject,
  status: ContainerStatus,
  paths: PodDependencies["paths"],
): Promise<string | undefined> {
  const written = await readTerminationLog(paths, pod, status.name, status.attempt);
  if (written !== undefined) return written;
  const spec = specContainers(pod).find((each) => each.spec.name === status.name)?.spec;
  const wantsLogs = spec?.terminationMessagePolicy === "FallbackToLogsOnError";
  return wantsLogs && status.exitCode !== 0 ? logTail(status.logPath) : undefined;
}

async function logTail(path: string): Promise<string | undefined> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    const length = Math.min(size, rawTailBytes);
    const buffer = Buffer.alloc(length);
    await file.read(buffer, 0, length, size - length);
    const lines = buffer.toString("utf8").split("\n");
    return lastMessages(size > length ? lines.slice(1) : lines) || undefined;
  } finally {
    await file.close();
  }
}

/** CRI log lines (`<time> <stream> <F|P> <text>`) to their text, cut to what the kubelet keeps. */
export function lastMessages(lines: readonly string[]): string {
  const text = lines
    .filter((line) => line !== "")
    .slice(-maxLogLines)
    .map((line) => {
      const [, , tag, ...words] = line.split(" ");
      return words.join(" ") + (tag === "P" ? "" : "\n");
    })
    .join("");
  return Buffer.from(text).subarray(-maxLogBytes).toString("utf8");
}
