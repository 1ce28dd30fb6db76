/** A template: a VM that is booted, whose agent has answered, saved before anything makes it one of its own. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../../common/log.ts";
import { makeSocketFolder, vmmPlace } from "../confinement/vmm-place.ts";
import type { GuestFiles } from "../hypervisors/guest-files.ts";
import type { Hypervisor, VmSpec } from "../hypervisors/hypervisor.ts";
import { greetGuest } from "../service/boot-guest.ts";
import type { ShimOptions } from "../shim-options.ts";
import { templateInputs, templateKey } from "./template-key.ts";
import type { Template, TemplateStore } from "./template-store.ts";

export interface TemplateRequest {
  readonly hypervisor: Hypervisor;
  /** The VM that is wanted. */
  readonly spec: VmSpec;
  readonly files: GuestFiles;
  /** For the sockets of the one that is saved; short, made and removed here. */
  readonly socketFolder: string;
  readonly options: Pick<ShimOptions, "bootTimeoutSeconds" | "guestTimeoutSeconds">;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

/** The template a VM can be cloned from, made when there is none. Rejects as a boot does. */
export function obtainTemplate(store: TemplateStore, request: TemplateRequest): Promise<Template> {
  const { hypervisor, spec, files } = request;
  const inputs = templateInputs(hypervisor, spec, files);
  const key = templateKey(inputs);
  return store.obtain(key, async (folder) => {
    await makeTemplate(key, folder, request);
    return { inputs: { ...inputs }, kernelRelease: files.kernelRelease };
  });
}

async function makeTemplate(
  key: string,
  folder: string,
  { hypervisor, spec, socketFolder, options, log, signal }: TemplateRequest,
): Promise<void> {
  const { place: wanted, cgroup: _, ...machine } = spec;
  // Nobody's: it is gone before any guest runs what a user brought.
  const place =
    wanted === undefined
      ? undefined
      : { ...wanted, ...vmmPlace(key, wanted.program, []), devices: wanted.devices };
  rmSync(socketFolder, { recursive: true, force: true });
  mkdirSync(socketFolder, { recursive: true, mode: 0o700 });
  makeSocketFolder(socketFolder, place);
  try {
    const vm = await hypervisor.start({
      ...machine,
      ...(place === undefined ? {} : { place }),
      id: key,
      savedTo: folder,
      agentSocket: join(socketFolder, "a"),
      controlSocket: join(socketFolder, "c"),
      consoleLog: join(socketFolder, "console.log"),
      pidFile: join(socketFolder, "vmm.pid"),
    });
    try {
      const { guest } = await greetGuest(vm, { log, listener: nobody, options, signal });
      await vm.pause();
      await vm.snapshot(folder);
      guest.close("the template is saved");
    } finally {
      await vm.stop();
    }
  } finally {
    rmSync(socketFolder, { recursive: true, force: true });
  }
}

/** Nothing runs in it that could end. */
const nobody = { exited: () => {}, oom: () => {} };
