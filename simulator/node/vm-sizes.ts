/**
 * Azure VM sizes an AKS node pool may have, and what AKS leaves of them for pods. Sizes: Azure "VM
 * sizes" pages. Reservations: AKS "Resource reservations" (concepts-clusters-workloads), the formulas
 * of Kubernetes 1.29 and newer.
 */
import { agentError } from "../errors.ts";

export interface VmSizeFacts {
  readonly name: string;
  readonly vcpus: number;
  readonly memoryGib: number;
  /** Default size of the OS disk AKS takes. */
  readonly osDiskGib: number;
}

/** With nested virtualization, as Pod Sandboxing wants: generation 2 sizes of the D and E families. */
export const vmSizes: readonly VmSizeFacts[] = [
  ...family("Standard_D{}s_v3", 4),
  ...family("Standard_D{}s_v4", 4),
  ...family("Standard_D{}s_v5", 4),
  ...family("Standard_D{}as_v5", 4),
  ...family("Standard_E{}s_v3", 8),
  ...family("Standard_E{}s_v5", 8),
];

export const defaultVmSize = "Standard_D4s_v3";

function family(pattern: string, gibPerVcpu: number): VmSizeFacts[] {
  return [2, 4, 8, 16, 32, 64].map((vcpus) => ({
    name: pattern.replace("{}", String(vcpus)),
    vcpus,
    memoryGib: vcpus * gibPerVcpu,
    // AKS takes 128 GiB up to 7 vCPUs, 256 up to 15, 512 up to 63, 1024 above.
    osDiskGib: vcpus < 8 ? 128 : vcpus < 16 ? 256 : vcpus < 64 ? 512 : 1024,
  }));
}

/** Throws VM_SIZE_UNKNOWN with what there is. */
export function findVmSize(name: string): VmSizeFacts {
  const found = vmSizes.find((size) => size.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  throw agentError("VM_SIZE_UNKNOWN", `the VM size "${name}" is not known`, {
    hint: `Use one of ${vmSizes.map((size) => size.name).join(", ")}.`,
  });
}

// CPU AKS reserves, in thousandths, by the node's cores.
const reservedCpuMillis: ReadonlyArray<readonly [cores: number, millis: number]> = [
  [1, 60],
  [2, 100],
  [4, 140],
  [8, 180],
  [16, 260],
  [32, 420],
  [64, 740],
];
const mib = 1024 ** 2;
// Hard eviction threshold memory.available of AKS nodes.
const evictionBytes = 100 * mib;

export interface NodeCapacity {
  readonly cpuMillis: number;
  readonly memoryBytes: number;
  readonly ephemeralStorageBytes: number;
  readonly pods: number;
}

/** kubenet's default, which fits a /24 of pod addresses. */
export const maxPods = 110;

export function capacityOf(size: VmSizeFacts): NodeCapacity {
  return {
    cpuMillis: size.vcpus * 1000,
    memoryBytes: size.memoryGib * 1024 ** 3,
    ephemeralStorageBytes: size.osDiskGib * 1024 ** 3,
    pods: maxPods,
  };
}

/** 20 MB for each pod plus 50 MB, at most a quarter of the memory; then the eviction threshold. */
export function allocatableOf(capacity: NodeCapacity): NodeCapacity {
  const cores = capacity.cpuMillis / 1000;
  const row = reservedCpuMillis.find(([upTo]) => cores <= upTo) ?? reservedCpuMillis.at(-1);
  const reserved = Math.min((20 * capacity.pods + 50) * mib, Math.floor(capacity.memoryBytes / 4));
  return {
    cpuMillis: capacity.cpuMillis - (row?.[1] ?? 0),
    memoryBytes: capacity.memoryBytes - reserved - evictionBytes,
    // The kubelet keeps a tenth free (eviction threshold nodefs.available).
    ephemeralStorageBytes: Math.floor(capacity.ephemeralStorageBytes * 0.9),
    pods: capacity.pods,
  };
}
