/** Programs that run as a sandbox's VMM does: its user, its powers, its view of the files. */
import { spawnSync } from "node:child_process";
import type { VmRecord } from "../../runtime-shim/shim-options.ts";

export function exitCodeAsVmm(
  { vmmPid, vmmUid }: Pick<VmRecord, "vmmPid" | "vmmUid">,
  ...command: readonly string[]
): number | null {
  const user = [`--reuid=${vmmUid}`, `--regid=${vmmUid}`, "--clear-groups", "--bounding-set=-all"];
  const words = [`--mount=/proc/${vmmPid}/ns/mnt`, "--", "setpriv", ...user, "--", ...command];
  return spawnSync("nsenter", words, { stdio: "ignore" }).status;
}
