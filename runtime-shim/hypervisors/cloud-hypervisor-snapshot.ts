/**
 * Cloud Hypervisor's snapshots (its docs/snapshot_restore.md): a folder with `config.json`, which names
 * the saved VM's own socket and tap, beside its memory and devices.
 */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { closeToVmm, giveTo, socketInPlace } from "../confinement/vmm-place.ts";
import { shimError } from "../errors.ts";
import { tapOf } from "./command-line/cloud-hypervisor.ts";
import type { VmSpec } from "./hypervisor.ts";
import { assertReadable } from "./snapshot-rules.ts";

const configFile = "config.json";

const ConfigSchema = z.looseObject({
  cpus: z.looseObject({ boot_vcpus: z.number() }),
  memory: z.looseObject({ size: z.number() }),
  net: z.array(z.looseObject({})).nullish(),
  vsock: z.looseObject({ socket: z.string() }),
});

/** The VMM that wrote it has no part in it any more. */
export function keepSnapshot(folder: string): void {
  closeToVmm(folder, 0o755);
  for (const name of readdirSync(folder)) closeToVmm(join(folder, name));
}

/** Lends a view of the snapshot in which socket and tap are those of `spec`. */
export async function withSnapshotFor(
  spec: VmSpec,
  folder: string,
  lendFolder: () => Promise<string>,
  use: (view: string) => Promise<void>,
): Promise<void> {
  const configPath = join(folder, configFile);
  assertReadable(configPath);
  const config = ConfigSchema.parse(JSON.parse(readFileSync(configPath, "utf8")));
  const saved = `${config.cpus.boot_vcpus} vCPUs, ${config.memory.size / 2 ** 20} MiB`;
  const asked = `${spec.vcpus} vCPUs, ${spec.memoryMib} MiB`;
  if (saved !== asked) {
    throw shimError("VMM_START_FAILED", `the snapshot is of a VM of ${saved}, not of ${asked}`);
  }
  const { nic } = spec;
  if ((nic !== undefined) !== (config.net?.length === 1)) {
    throw shimError("VMM_START_FAILED", "either the snapshot or the VM asked for has a NIC");
  }
  const lent = await lendFolder();
  const view = mkdtempSync(`${spec.controlSocket}.s`);
  const socket = socketInPlace(spec.place, spec.agentSocket);
  try {
    for (const name of readdirSync(folder)) {
      if (name !== configFile) symlinkSync(join(lent, name), join(view, name));
    }
    const own = {
      ...config,
      vsock: { ...config.vsock, socket },
      // The MAC is the guest's, saved with its driver.
      ...(nic === undefined
        ? {}
        : { net: config.net?.map((net) => ({ ...net, tap: tapOf(nic).tap })) }),
    };
    const ownConfig = join(view, configFile);
    writeFileSync(ownConfig, JSON.stringify(own), { mode: 0o600 });
    for (const path of [view, ownConfig]) giveTo(spec.place, path);
    await use(socketInPlace(spec.place, view));
  } finally {
    rmSync(view, { recursive: true, force: true });
  }
}
