/** The size of the pod's /dev/shm, as the sandbox's spec has it. */
import { statfsSync } from "node:fs";
import type { Spec } from "./spec.ts";

const tmpfsMagic = 0x01021994;
const units: Record<string, number> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/**
 * Of the host's own tmpfs for a bind (containerd's CRI, Kata container.go getShmSize), of the mount's
 * option otherwise; undefined when the spec says nothing: the guest's default stays.
 */
export function sharedMemoryBytes(spec: Spec): number | undefined {
  const mount = spec.mounts?.find(({ destination }) => destination === "/dev/shm");
  if (mount === undefined) return undefined;
  const size = (mount.options ?? []).map((option) => /^size=(\d+)([kmg]?)$/i.exec(option));
  const found = size.find((match) => match !== null);
  if (found) return Number(found[1]) * (units[(found[2] ?? "").toLowerCase()] ?? 1);
  if (mount.type !== "bind" || !mount.source) return undefined;
  try {
    const { type, bsize, blocks } = statfsSync(mount.source);
    return type === tmpfsMagic && blocks > 0 ? bsize * blocks : undefined;
  } catch {
    return undefined;
  }
}
