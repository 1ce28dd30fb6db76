/**
 * A VM that waits for its sandbox: nobody's, in folders of its own, with the NIC of a pod's network. A
 * sandbox takes it once, if it is what the sandbox would have got, and gives it seed, clock, names, disks
 * and network; else it ends.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { makeSocketFolder } from "../confinement/vmm-place.ts";
import type { GuestListener } from "../guest-client/client.ts";
import { createListenerSwitch } from "../guest-client/listener-switch.ts";
import type { VmSpec } from "../hypervisors/hypervisor.ts";
import type { ShimOptions } from "../shim-options.ts";
import type { PodLimits } from "../sizing/vm-size.ts";
import { assertRoomForPlan, machineOf, placeFor, planVm } from "./plan-vm.ts";
import { type PreparedVm, prepareVm } from "./prepare-vm.ts";
import { rehearsePod } from "./rehearse.ts";
import { createSandboxDisks } from "./sandbox-disks.ts";
import { spareNic } from "./sandbox-network.ts";
import { consoleLogFile, socketPaths, vmmPidFile, writableDiskFile } from "./state-file.ts";

// What a rehearsal has translated is to be there when a pod comes.
const rehearsedCodeMib = 64;

export interface SpareVm {
  /** To be removed when the VM is gone. */
  readonly folders: readonly string[];
  /** Resolves with its VMM's pid when its tap is there. */
  readonly running: Promise<number>;
  /** Whether it is there, and has rehearsed if it was to. Rejects with why not. */
  readonly ready: Promise<void>;
  /**
   * The VM, whose guest speaks to the listener from now on; undefined when it is not what `spec` says or
   * could not be made: it is gone then.
   */
  take(spec: VmSpec, listener: GuestListener): Promise<PreparedVm | undefined>;
  /** Idempotent; a VM that was taken stays. */
  discard(): Promise<void>;
}

export interface SpareRequest {
  /** Names its user and its folders. */
  readonly id: string;
  readonly socketPrefix: string;
  readonly options: ShimOptions;
  readonly limits: PodLimits;
  /** Runs once what a pod's start will run, so that the emulator has translated it. */
  readonly rehearse: boolean;
}

export function createSpareVm(request: SpareRequest, log: Logger): SpareVm {
  const { id, options } = request;
  const sockets = socketPaths(request.socketPrefix);
  const ownFolder = `${request.socketPrefix}.spare`;
  const folders = [sockets.vmmFolder, sockets.template, ownFolder];
  const { listener, listen } = createListenerSwitch();
  const stopping = new AbortController();
  let isTaken = false;

  let onRunning: (vmmPid: number) => void = () => {};
  const running = new Promise<number>((resolve) => {
    onRunning = resolve;
  });
  const make = async (): Promise<PreparedVm> => {
    const plan = await planVm(request, log);
    assertRoomForPlan(plan);
    const { files, choice } = plan;
    const place = placeFor(id, plan, options, log);
    makeSocketFolder(sockets.vmmFolder, place);
    mkdirSync(ownFolder, { recursive: true, mode: 0o700 });
    const prepared = await prepareVm({
      spec: {
        ...machineOf(plan, place),
        ...{ id, nic: spareNic },
        ...{ agentSocket: sockets.agent, controlSocket: sockets.control, sharedMemory: false },
        consoleLog: join(ownFolder, consoleLogFile),
        pidFile: join(ownFolder, vmmPidFile),
        onRunning,
        ...(request.rehearse ? { codeCacheMib: rehearsedCodeMib } : {}),
      },
      ...{ choice, files, listener, options, log, signal: stopping.signal },
      firstDisk: join(ownFolder, writableDiskFile),
      templateSocketFolder: sockets.template,
    });
    if (!request.rehearse) return prepared;
    try {
      const { vm, guest } = prepared;
      await rehearsePod({
        // The first disk is the pod's.
        ...{ vm, guest, disks: createSandboxDisks(vm, guest) },
        ...{ options, log, image: files.rehearsal },
        ...{ folder: join(ownFolder, "rehearsal"), listen },
      });
      return { ...prepared, startKind: "pool" };
    } catch (error) {
      await prepared.vm.stop();
      throw error;
    }
  };
  const made = make();
  made.catch((error: unknown) => log.warn({ error: messageOf(error) }, "no spare VM"));
  const discard = async () => {
    if (isTaken) return;
    isTaken = true;
    stopping.abort(new Error("the spare VM is not needed"));
    await made.then(({ vm }) => vm.stop()).catch(() => {});
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  };
  return {
    folders,
    running,
    ready: made.then(() => {}),
    discard,
    async take(spec, taker) {
      const prepared = await made.catch(() => undefined);
      if (prepared === undefined || isTaken || !isSameMachine(prepared.spec, spec)) {
        await discard();
        return undefined;
      }
      isTaken = true;
      listen(taker);
      return prepared;
    },
  };
}

/** As far as it cannot be changed in a running VM. */
function isSameMachine(one: VmSpec, other: VmSpec): boolean {
  const facts = ({ vcpus, memoryMib, most, accelerator, nic, kernel, initrd }: VmSpec) =>
    JSON.stringify([vcpus, memoryMib, most ?? null, accelerator, nic?.kind ?? "", kernel, initrd]);
  return facts(one) === facts(other) && other.sharedMemory !== true;
}
