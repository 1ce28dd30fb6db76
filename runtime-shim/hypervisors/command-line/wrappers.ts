/** The words before every VMM's command: where it runs, as whom, and what it may. Pure. */
import { dirname } from "node:path";
import { enterPlace, fileInPlace, socketInPlace } from "../../confinement/vmm-place.ts";
import type { VmSpec } from "../hypervisor.ts";

const kernelName = "kernel";
const initrdName = "initrd";

export function wrappers(spec: VmSpec): readonly string[] {
  const { netnsPath, place, kernel, initrd } = spec;
  const files = { [kernelName]: kernel, [initrdName]: initrd };
  return [
    ...(netnsPath === undefined ? [] : ["nsenter", `--net=${netnsPath}`, "--"]),
    ...(place === undefined ? [] : enterPlace(place, dirname(spec.controlSocket), files)),
    "setpriv",
    "--no-new-privs",
    "--inh-caps=-all",
    ...powers(spec),
    // When the shim dies, so does its VM.
    "--pdeathsig=SIGKILL",
    "--",
  ];
}

function powers({ place }: VmSpec): readonly string[] {
  if (place !== undefined) {
    const { uid } = place;
    return ["--bounding-set=-all", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  }
  // Another user than root has none of these, and may not even give them up. A root that cannot make
  // places keeps one: kernel and images may lie below a user's private folder.
  return process.getuid?.() === 0 ? ["--bounding-set=-all,+dac_read_search"] : [];
}

/** The paths of the spec as its VMM knows them. */
export function pathsInPlace(
  spec: VmSpec,
): Pick<VmSpec, "kernel" | "initrd" | "agentSocket" | "controlSocket"> {
  const { place, kernel, initrd, agentSocket, controlSocket } = spec;
  return {
    kernel: fileInPlace(place, kernel, kernelName),
    initrd: fileInPlace(place, initrd, initrdName),
    agentSocket: socketInPlace(place, agentSocket),
    controlSocket: socketInPlace(place, controlSocket),
  };
}
