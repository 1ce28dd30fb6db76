/** The memory of sandboxes, in words. */
import type { SandboxMemory } from "../sandboxes.ts";

export function memoryText({
  vmmBytes,
  shimBytes,
  otherBytes,
  totalBytes,
  measure,
}: SandboxMemory): string {
  const parts = [`VMM ${mib(vmmBytes)}`, `shim ${mib(shimBytes)}`];
  if (otherBytes > 0) parts.push(`other processes ${mib(otherBytes)}`);
  const word =
    measure === "pss"
      ? "PSS"
      : "resident size: shared pages are counted in full, for smaps_rollup cannot be read";
  return `${mib(totalBytes)} (${parts.join(", ")}; ${word})`;
}

export function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
