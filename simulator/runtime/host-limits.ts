/**
 * What this process may hand to containers. Without CAP_SYS_RESOURCE (katasim inside a container)
 * neither a lower OOM score nor more open files than our own can be set, and runc fails on trying;
 * containerd's `restrict_oom_score_adj` is for the same case.
 */
import { readFileSync } from "node:fs";

export interface HostLimits {
  readonly minOomScoreAdj: number;
  readonly maxOpenFiles: number;
}

const capSysResource = 24n;

export const noLimits: HostLimits = {
  minOomScoreAdj: -1000,
  maxOpenFiles: Number.MAX_SAFE_INTEGER,
};

/** "bounding" is what any process of this machine (or container) can have, not only this one. */
export function readHostLimits(
  set: "effective" | "bounding" = "effective",
  proc = "/proc/self",
): HostLimits {
  const line = set === "effective" ? /^CapEff:\s*([0-9a-f]+)$/m : /^CapBnd:\s*([0-9a-f]+)$/m;
  const held = line.exec(readFileSync(`${proc}/status`, "utf8"))?.[1];
  if (((BigInt(`0x${held ?? "0"}`) >> capSysResource) & 1n) === 1n) return noLimits;
  const limits = readFileSync(`${proc}/limits`, "utf8");
  const hardFiles = /^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1];
  return {
    minOomScoreAdj: Number(readFileSync(`${proc}/oom_score_adj`, "utf8")),
    maxOpenFiles: hardFiles === undefined ? noLimits.maxOpenFiles : Number(hardFiles),
  };
}
