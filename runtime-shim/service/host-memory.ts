/** What this machine has left for VMs. */
import { readFileSync } from "node:fs";
import { shimError } from "../errors.ts";

/** Throws HOST_MEMORY. Guest memory is taken as it is touched, so this catches only what can never fit. */
export function assertHostMemory(neededMib: number): void {
  const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"));
  const availableMib = Math.floor(Number(match?.[1] ?? Number.MAX_SAFE_INTEGER) / 1024);
  if (neededMib <= availableMib) return;
  throw shimError(
    "HOST_MEMORY",
    `the sandbox's VM needs ${neededMib} MiB and this machine has ${availableMib} MiB available`,
    { hint: "lower the pod's memory limits or delete other pods" },
  );
}
