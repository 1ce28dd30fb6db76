/** What this machine has left for VMs. */
import { readFileSync } from "node:fs";
import { shimError } from "../errors.ts";
import { firstTakeMib } from "../sizing/first-take.ts";

/**
 * Throws HOST_MEMORY for a VM that could never have what it may take, and for one that has not even room to
 * start. Which VMs run beside each other is for those to decide who ask for them.
 */
export function assertRoomForVm(memoryMib: number, overheadMib: number): void {
  const wholeMib = memoryMib + overheadMib;
  const totalMib = meminfoMib("MemTotal");
  if (wholeMib > totalMib) {
    throw shimError(
      "HOST_MEMORY",
      `the sandbox's VM may take ${wholeMib} MiB and this machine has ${totalMib} MiB`,
      { hint: "lower the pod's memory limits" },
    );
  }
  assertHostMemory(firstTakeMib(memoryMib));
}

/** Throws HOST_MEMORY. */
export function assertHostMemory(neededMib: number): void {
  const availableMib = meminfoMib("MemAvailable");
  if (neededMib <= availableMib) return;
  throw shimError(
    "HOST_MEMORY",
    `the sandbox's VM needs ${neededMib} MiB and this machine has ${availableMib} MiB available`,
    { hint: "lower the pod's memory limits or delete other pods" },
  );
}

function meminfoMib(name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(
    readFileSync("/proc/meminfo", "utf8"),
  );
  return Math.floor(Number(match?.[1] ?? Number.MAX_SAFE_INTEGER) / 1024);
}
