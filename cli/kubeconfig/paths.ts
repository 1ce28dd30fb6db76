/** Which kubeconfig files a command means: kind's rules (kind internal/kubeconfig/internal/kubeconfig/paths.go). */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";

export interface KubeconfigTarget {
  /** `--kubeconfig`, when given. */
  readonly flag?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** Every file kubectl would read, in order. */
export function kubeconfigFiles(target: KubeconfigTarget): readonly string[] {
  if (target.flag !== undefined && target.flag !== "") return [resolve(target.flag)];
  const listed = (target.env.KUBECONFIG ?? "")
    .split(delimiter)
    .filter((entry) => entry !== "")
    .map((entry) => resolve(entry));
  if (listed.length > 0) return [...new Set(listed)];
  return [join(target.env.HOME ?? homedir(), ".kube", "config")];
}

/** The one file to write new entries to: the first that exists, else the last. */
export function kubeconfigToWrite(
  target: KubeconfigTarget,
  exists: (path: string) => boolean = existsSync,
): string {
  const files = kubeconfigFiles(target);
  return files.find((file) => exists(file)) ?? (files.at(-1) as string);
}
