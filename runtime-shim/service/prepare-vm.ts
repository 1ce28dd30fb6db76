/**
 * A VM whose agent answers, and that is nobody's yet: cloned from a template where that can be, else
 * booted.
 */
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { stepNow, type TimelineStep } from "../../common/timeline.ts";
import type { GuestClient, GuestListener } from "../guest-client/client.ts";
import type { GuestFiles } from "../hypervisors/guest-files.ts";
import type { RunningVm, VmSpec } from "../hypervisors/hypervisor.ts";
import type { HypervisorChoice } from "../hypervisors/registry.ts";
import type { ShimOptions, StartKind } from "../shim-options.ts";
import { obtainTemplate } from "../templates/make-template.ts";
import { copyTemplateDisk } from "../templates/template-disk.ts";
import { createTemplateStore } from "../templates/template-store.ts";
import { greetGuest } from "./boot-guest.ts";
import { userPaths } from "./plan-vm.ts";
import { createSandboxDisks, type SandboxDisks } from "./sandbox-disks.ts";

export interface PreparedVm {
  readonly spec: VmSpec;
  readonly vm: RunningVm;
  readonly guest: GuestClient;
  readonly kernelRelease: string;
  /** From exec of the VMM to the agent's first answer. */
  readonly bootMs: number;
  readonly startKind: StartKind;
  readonly fellBack: string | undefined;
  readonly timeline: readonly TimelineStep[];
  /** Of a clone with one for the first container. */
  readonly disks: SandboxDisks;
}

export interface PrepareInput {
  readonly choice: HypervisorChoice;
  readonly spec: VmSpec;
  readonly files: GuestFiles;
  /** Where a clone's disk for the first container is made. */
  readonly firstDisk: string;
  /** For a template's own sockets, if one has to be made. */
  readonly templateSocketFolder: string;
  readonly options: ShimOptions;
  readonly listener: GuestListener;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

// A clone answers in a tenth of a second; one that does not is given up for a boot.
const cloneTimeoutSeconds = 15;

/** Rejects as a boot does; nothing is left behind then. */
export async function prepareVm(input: PrepareInput): Promise<PreparedVm> {
  const { spec, options, log, signal } = input;
  if (!options.templates || spec.sharedMemory) return boot(input);
  try {
    return await clone(input);
  } catch (error) {
    signal?.throwIfAborted();
    const fellBack = messageOf(error);
    log.warn({ error: fellBack }, "the VM is not cloned from a template, but booted");
    return boot(input, fellBack);
  }
}

async function clone(input: PrepareInput): Promise<PreparedVm> {
  const { choice, spec, files, options, log, signal } = input;
  const timeline = [stepNow("template asked")];
  const store = createTemplateStore({
    folder: options.templateDir ?? userPaths().templates,
    maxBytes: options.templateCacheMib * 2 ** 20,
    log,
  });
  const { folder, manifest } = await obtainTemplate(store, {
    ...{ hypervisor: choice.hypervisor, spec, files, options, log, signal },
    socketFolder: input.templateSocketFolder,
  });
  const isMounted = choice.hypervisor.hasDiskSlots;
  const disk = isMounted ? copyTemplateDisk(folder, input.firstDisk) : undefined;
  disk?.catch(() => {});
  try {
    timeline.push(stepNow("VMM executed"));
    const vm = await choice.hypervisor.restore(spec, folder, disk);
    timeline.push(stepNow("VM restored"));
    const bootTimeoutSeconds = Math.min(options.bootTimeoutSeconds, cloneTimeoutSeconds);
    const own = { ...input, options: { ...options, bootTimeoutSeconds } };
    const greeted = await greet(own, vm, timeline);
    const disks = createSandboxDisks(vm, greeted.guest, disk);
    return { ...greeted, disks, startKind: "template", fellBack: undefined };
  } catch (error) {
    const isCopied = await (disk ?? Promise.resolve()).then(
      () => true,
      () => false,
    );
    // It was whole, and yet no VM comes of it: the next one is made of another.
    if (isCopied && !signal?.aborted) store.remove(manifest.key);
    throw error;
  }
}

async function boot(input: PrepareInput, fellBack?: string): Promise<PreparedVm> {
  const timeline = [stepNow("VMM executed")];
  const vm = await input.choice.hypervisor.start(input.spec);
  timeline.push(stepNow("kernel started"));
  const greeted = await greet(input, vm, timeline);
  const disks = createSandboxDisks(vm, greeted.guest);
  return { ...greeted, disks, startKind: "cold", fellBack };
}

async function greet(input: PrepareInput, vm: RunningVm, timeline: readonly TimelineStep[]) {
  try {
    const greeted = await greetGuest(vm, input);
    return {
      ...{ spec: input.spec, vm, ...greeted },
      timeline: [...timeline, stepNow("agent answers")],
    };
  } catch (error) {
    await vm.stop();
    throw error;
  }
}
