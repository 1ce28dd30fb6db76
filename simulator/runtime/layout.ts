/**
 * Where a sandbox keeps its files. Bundles lie beside each other because containerd-shim-runc-v2
 * looks for a container's bundle next to the one it was started in (`delete`).
 */
import { join } from "node:path";
import type { Paths } from "../../common/paths.ts";
import type { SandboxFiles } from "./oci-spec.ts";

export interface SandboxLayout {
  readonly folder: string;
  readonly bundle: string;
  readonly files: SandboxFiles;
  /** FIFOs of containers and execs. */
  readonly io: string;
}

export interface ContainerLayout {
  readonly bundle: string;
  /** Writable layer on the shared kernel. On disk: the run folder may be a small tmpfs. */
  readonly layer: string;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

type RuntimePaths = Pick<Paths, "sandboxes" | "state">;

export function sandboxLayout(paths: RuntimePaths, sandboxId: string): SandboxLayout {
  const folder = join(paths.sandboxes, sandboxId);
  return {
    folder,
    bundle: join(folder, sandboxId),
    files: {
      hostname: join(folder, "files", "hostname"),
      resolvConf: join(folder, "files", "resolv.conf"),
      shm: join(folder, "shm"),
    },
    io: join(folder, "io"),
  };
}

export function containerLayout(
  paths: RuntimePaths,
  sandboxId: string,
  containerId: string,
): ContainerLayout {
  const { folder, io } = sandboxLayout(paths, sandboxId);
  return {
    bundle: join(folder, containerId),
    layer: join(paths.state, "layers", containerId),
    stdin: join(io, `${containerId}-stdin`),
    stdout: join(io, `${containerId}-stdout`),
    stderr: join(io, `${containerId}-stderr`),
  };
}
