/** The words before every VMM's command: where it runs and what it may. */
import type { VmSpec } from "../hypervisor.ts";

export function wrappers({ netnsPath }: Pick<VmSpec, "netnsPath">): readonly string[] {
  const isRoot = process.getuid?.() === 0;
  return [
    ...(netnsPath === undefined ? [] : ["nsenter", `--net=${netnsPath}`, "--"]),
    // Without root's powers but one: kernel and images may lie below a user's private folder. And
    // when the shim dies, so does its VM.
    "setpriv",
    "--no-new-privs",
    "--inh-caps=-all",
    // Another user has none of these, and may not even give them up.
    ...(isRoot ? ["--bounding-set=-all,+dac_read_search"] : []),
    "--pdeathsig=SIGKILL",
    "--",
  ];
}
