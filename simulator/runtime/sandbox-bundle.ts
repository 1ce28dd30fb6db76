/** Writes what a sandbox needs on disk before its shim starts: files for the pod, bundle, FIFO. */
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { resolvConf } from "../network/index.ts";
import type { SandboxSpec } from "../runtime-port.ts";
import { podCgroup } from "./cgroups.ts";
import type { RuntimeContext } from "./context.ts";
import { runtimeError } from "./errors.ts";
import { makeFifos } from "./fifos.ts";
import type { HandlerConfig } from "./handler-table.ts";
import { mountShm } from "./host-mounts.ts";
import { type SandboxLayout, sandboxLayout } from "./layout.ts";
import { sandboxOciSpec } from "./oci-spec.ts";

export interface SandboxBundleInput {
  readonly id: string;
  readonly handler: HandlerConfig;
  readonly spec: SandboxSpec;
  readonly netnsPath: string | undefined;
  readonly guestAddress: string | undefined;
}

/** Independent of the network, so that both are made side by side. */
export async function makeSandboxFiles(
  context: RuntimeContext,
  input: Omit<SandboxBundleInput, "netnsPath" | "guestAddress">,
): Promise<SandboxLayout> {
  const { id, handler, spec } = input;
  const layout = sandboxLayout(context.paths, id);
  await mkdir(join(layout.folder, "files"), { recursive: true, mode: 0o711 });
  await Promise.all([
    mkdir(layout.io, { mode: 0o700 }),
    mkdir(join(layout.bundle, "rootfs"), { recursive: true, mode: 0o711 }),
    // Read by any user in the containers.
    writeFile(layout.files.hostname, `${spec.hostname}\n`, { mode: 0o644 }),
    writeFile(layout.files.resolvConf, resolvConf(spec.dns), { mode: 0o644 }),
    // In a VM /dev/shm is the guest's own; the folder only marks the mount. But Kata's guest gets one
    // as large as what is mounted there.
    handler.options.kind === "katasim"
      ? mkdir(layout.files.shm, { recursive: true })
      : mountShm(layout.files.shm),
  ]);
  await Promise.all([makeFifos([join(layout.bundle, "log")]), putPause(context, handler, layout)]);
  return layout;
}

export async function writeSandboxSpec(
  context: RuntimeContext,
  layout: SandboxLayout,
  input: SandboxBundleInput,
): Promise<void> {
  const { id, handler, spec, netnsPath, guestAddress } = input;
  const oci = sandboxOciSpec({
    sandboxId: id,
    spec,
    netnsPath,
    guestAddress,
    cgroupsPath: `${podCgroup(context.paths.machineName, spec.podUid)}/${id}`,
    logDirectory: join(
      context.paths.podLogs,
      `${spec.podNamespace}_${spec.podName}_${spec.podUid}`,
    ),
    files: layout.files,
    limits: context.limits(handler),
  });
  await writeFile(join(layout.bundle, "config.json"), JSON.stringify(oci), { mode: 0o600 });
}

/** The process that holds a pod's namespaces, Kata's in its guest. Our VMs need none. */
async function putPause(
  context: RuntimeContext,
  handler: HandlerConfig,
  layout: SandboxLayout,
): Promise<void> {
  const pause = join(layout.bundle, "rootfs", "pause");
  try {
    await copyFile(join(context.paths.guest, "pause", "pause"), pause);
    await chmod(pause, 0o755);
  } catch (error) {
    if (handler.options.kind === "katasim") return;
    throw runtimeError("SANDBOX_CREATE_FAILED", "the pause program is missing", {
      cause: error,
      hint: "Run scripts/setup: it builds the programs that pods need.",
    });
  }
}
