/** What the node says of the machine below it: read from the kernel, never made up. */
import { readFile, statfs } from "node:fs/promises";
import { arch, release } from "node:os";
import { readMeminfo } from "../pods/host-memory.ts";

export interface HostFacts {
  readonly kernelVersion: string;
  readonly bootId: string;
  readonly machineId: string;
  readonly systemUuid: string;
  /** Kubernetes' name: "amd64", "arm64". */
  readonly architecture: string;
}

export interface HostPressure {
  readonly memoryAvailableMib: number;
  readonly diskAvailableBytes: number;
  readonly pidsAvailable: number;
}

export async function readHostFacts(): Promise<HostFacts> {
  const machineId = await firstLine("/etc/machine-id");
  return {
    kernelVersion: release(),
    bootId: await firstLine("/proc/sys/kernel/random/boot_id"),
    machineId,
    // Containers see no DMI tables; the machine id then stands in, as in the kubelet's cAdvisor.
    systemUuid: (await firstLine("/sys/class/dmi/id/product_uuid")) || machineId,
    architecture: ({ x64: "amd64" } as Readonly<Record<string, string>>)[arch()] ?? arch(),
  };
}

export async function readHostPressure(folder: string): Promise<HostPressure> {
  const [memory, disk, maxPids, load] = await Promise.all([
    readMeminfo(),
    statfs(folder),
    firstLine("/proc/sys/kernel/pid_max"),
    firstLine("/proc/loadavg"),
  ]);
  const threads = Number(load.split(" ")[3]?.split("/")[1] ?? 0);
  return {
    memoryAvailableMib: memory.availableMib,
    diskAvailableBytes: disk.bavail * disk.bsize,
    pidsAvailable: Number(maxPids || 32_768) - threads,
  };
}

async function firstLine(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n")[0]?.trim() ?? "";
}
