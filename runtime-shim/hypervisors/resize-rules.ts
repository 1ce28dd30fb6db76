/** What every driver asks of a new shape before it gives it to a running VM. */
import { shimError } from "../errors.ts";
import type { VmShape, VmSpec } from "./hypervisor.ts";

/** Linux takes plugged memory on x86-64 in blocks of this size (arch/x86/mm/init_64.c). */
export const memoryStepMib = 128;

/** Throws VM_SIZE. */
export function assertResizable(
  now: VmShape,
  wanted: VmShape,
  spec: Pick<VmSpec, keyof VmShape | "most">,
): void {
  const most = spec.most ?? spec;
  const refuse = (why: string, hint?: string) => {
    const options = hint === undefined ? {} : { hint };
    throw shimError("VM_SIZE", `the VM cannot have ${words(wanted)}: ${why}`, options);
  };
  if (wanted.vcpus < 1) refuse("a guest needs a processor");
  if (wanted.memoryMib < now.memoryMib) {
    refuse(`it has ${words(now)}, and a guest gives no memory back`);
  }
  if (wanted.vcpus > most.vcpus || wanted.memoryMib > most.memoryMib) {
    const hint =
      "the runtime's options maxVcpus and maxMemoryMib give room to sandboxes made later";
    refuse(`it was started with room for ${words(most)}`, hint);
  }
  if ((wanted.memoryMib - now.memoryMib) % memoryStepMib !== 0) {
    refuse(`memory is added in steps of ${memoryStepMib} MiB`);
  }
}

/** Throws VM_SIZE, for drivers of VMMs that take no processor back. */
export function assertProcessorsStay(now: VmShape, wanted: VmShape, vmm: string): void {
  if (wanted.vcpus >= now.vcpus) return;
  throw shimError(
    "VM_SIZE",
    `the VM cannot have ${words(wanted)}: it has ${words(now)}, and ${vmm} takes no processor back`,
    { hint: "make the pod anew for a smaller VM" },
  );
}

function words({ vcpus, memoryMib }: VmShape): string {
  return `${vcpus} vCPUs and ${memoryMib} MiB`;
}
