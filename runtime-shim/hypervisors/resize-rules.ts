/** What every driver asks of a new shape before it gives it to a running VM. */
import { shimError } from "../errors.ts";
import type { VmShape, VmSpec } from "./hypervisor.ts";

/** Linux takes plugged memory on x86-64 in blocks of this size (arch/x86/mm/init_64.c). */
export const memoryStepMib = 128;

/** Throws VMM_CONTROL. */
export function assertGrowth(now: VmShape, wanted: VmShape, spec: VmSpec): void {
  const most = spec.most ?? spec;
  const refuse = (why: string) => {
    throw shimError("VMM_CONTROL", `the VM cannot have ${words(wanted)}: ${why}`);
  };
  if (wanted.vcpus < now.vcpus || wanted.memoryMib < now.memoryMib) {
    refuse(`it has ${words(now)}, and a guest gives nothing back`);
  }
  if (wanted.vcpus > most.vcpus || wanted.memoryMib > most.memoryMib) {
    refuse(`it was started with room for ${words(most)}`);
  }
  if ((wanted.memoryMib - now.memoryMib) % memoryStepMib !== 0) {
    refuse(`memory is added in steps of ${memoryStepMib} MiB`);
  }
}

function words({ vcpus, memoryMib }: VmShape): string {
  return `${vcpus} vCPUs and ${memoryMib} MiB`;
}
