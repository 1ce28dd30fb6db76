/** The words before every VMM's command: where it runs, as whom, and what it may. Pure. */
import { dirname } from "node:path";
import { enterPlace, fileInPlace, socketInPlace } from "../../confinement/vmm-place.ts";
import type { VmSpec } from "../hypervisor.ts";

const kernelName = "kernel";
const initrdName = "initrd";

const tapScript = 'ip tuntap add dev "$0" mode tap && exec "$@"';

/** `files` are lent beside those that every VMM needs. */
export function wrappers(
  spec: VmSpec,
  files: Readonly<Record<string, string>> = {},
): readonly string[] {
  const { place, kernel, initrd, nic } = spec;
  const tap = nic?.kind === "tap" ? nic.tap : undefined;
  // A network that the VMM plays leads out by this machine's.
  const ownNetwork = nic?.kind !== "user";
  const enter =
    nic?.kind === "user" && nic.netnsPath !== undefined
      ? ["nsenter", `--net=${nic.netnsPath}`, "--"]
      : [];
  if (place !== undefined) {
    const all = { [kernelName]: kernel, [initrdName]: initrd, ...files };
    const smallPages = spec.accelerator === "tcg";
    const options = { files: all, smallPages, ownNetwork, tap };
    return [...enter, ...enterPlace(place, dirname(spec.controlSocket), options)];
  }
  // Another user than root has no powers to give up, and may make no namespaces.
  const isRoot = process.getuid?.() === 0;
  return [
    ...enter,
    ...(isRoot && ownNetwork ? ["unshare", "--net", "--"] : []),
    ...(isRoot && tap !== undefined ? ["sh", "-c", tapScript, tap] : []),
    ...["setpriv", "--no-new-privs", "--inh-caps=-all"],
    // A root that cannot make places keeps one: kernel and images may lie below a user's private folder.
    ...(isRoot ? ["--bounding-set=-all,+dac_read_search"] : []),
    // When the shim dies, so does its VM.
    "--pdeathsig=SIGKILL",
    "--",
  ];
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
