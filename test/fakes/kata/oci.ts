/** What Kata reads out of an OCI spec, and what its guest is given of one. Sources: kata-containers
 * src/runtime/pkg/oci/utils.go, src/runtime/virtcontainers/kata_agent.go constrainGRPCSpec. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Namespace {
  readonly type: string;
  readonly path?: string;
}

interface Mount {
  readonly destination: string;
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
}

export interface Spec {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly mounts?: readonly Mount[];
  readonly linux?: {
    readonly namespaces?: readonly Namespace[];
    readonly resources?: { readonly cpu?: object; readonly memory?: object };
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

export function readSpec(bundle: string): Spec {
  return JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")) as Spec;
}

export function containerType({ annotations = {} }: Spec): "sandbox" | "container" | "single" {
  const type = annotations["io.kubernetes.cri.container-type"];
  if (type === undefined) return "single";
  if (type === "sandbox" || type === "container") return type;
  throw new Error(`Unknown container type ${type}`);
}

export function sandboxIdOf({ annotations = {} }: Spec): string {
  const id = annotations["io.kubernetes.cri.sandbox-id"];
  if (id === undefined) throw new Error("Could not find sandbox ID");
  return id;
}

export function namespacePath(spec: Spec, type: string): string | undefined {
  return spec.linux?.namespaces?.find((namespace) => namespace.type === type)?.path;
}

export interface GuestPlace {
  readonly rootfs: string;
  readonly cgroupsPath: string;
  /** Stands for the guest's own network. */
  readonly network: string | undefined;
  /** A process whose IPC and UTS the pod shares; absent for the first one. */
  readonly sandboxPid: number | undefined;
  readonly shm: string;
}

/** Namespace paths of the host, devices, pids, hooks and seccomp never reach the guest. */
export function guestSpec(spec: Spec, place: GuestPlace): Spec {
  const { sandboxPid, network } = place;
  const shared = (type: string) =>
    sandboxPid === undefined ? { type } : { type, path: `/proc/${sandboxPid}/ns/${type}` };
  // Any path means the sandbox's pid namespace in the guest.
  const pid = namespacePath(spec, "pid") === undefined ? { type: "pid" } : shared("pid");
  const { hooks: _, ...rest } = spec;
  const { devices: __, seccomp: ___, ...linux } = spec.linux ?? {};
  const { cpu, memory } = spec.linux?.resources ?? {};
  return {
    ...rest,
    process: guestProcess(spec.process as object),
    root: { ...(spec.root as object), path: place.rootfs },
    mounts: (spec.mounts ?? []).map((mount) =>
      mount.destination === "/dev/shm"
        ? { destination: "/dev/shm", type: "bind", source: place.shm, options: ["rbind", "rw"] }
        : mount,
    ),
    linux: {
      ...linux,
      cgroupsPath: place.cgroupsPath,
      namespaces: [
        { type: "mount" },
        ...(network === undefined ? [] : [{ type: "network", path: network }]),
        ...[shared("ipc"), shared("uts"), pid],
      ],
      resources: { ...(cpu && { cpu }), ...(memory && { memory }) },
    },
  };
}

/** A guest's kernel has limits of its own; this machine's stand in the way of some. */
export function guestProcess(process: object): object {
  const { oomScoreAdj: _, rlimits: __, ...rest } = process as Spec;
  return rest;
}
