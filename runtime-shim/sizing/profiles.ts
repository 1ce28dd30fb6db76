/**
 * How big a sandbox's VM is, as data: one profile per generation of AKS, and the form that Kata's own
 * configuration is brought into. All of them look at limits only, sum them over the pod, leave
 * RuntimeClass overhead out and round up to whole vCPUs once.
 */
import type { ShimOptions } from "../shim-options.ts";

export type SizingProfileName = ShimOptions["sizingProfile"];

export interface SizingProfile {
  readonly name: string;
  /** Where the numbers come from. */
  readonly source: string;
  /** Always there, before any limit is added. May be a fraction of a vCPU. */
  readonly baseVcpus: number;
  readonly baseMemoryMib: number;
  /** Stands for the limits' sum when no container has such a limit. */
  readonly defaultVcpus: number;
  readonly defaultMemoryMib: number;
  /** A smaller memory limit is refused; 0 = none is. */
  readonly minimumMemoryMib: number;
  /** Takes the place of all of them when no container has any limit at all. */
  readonly withoutLimits?: { readonly vcpus: number; readonly memoryMib: number };
  /** The limits' sum is rounded up to a multiple of it; default 1. */
  readonly memoryStepMib?: number;
}

export const sizingProfiles: Readonly<Record<SizingProfileName, SizingProfile>> = {
  "aks-preview": {
    name: "aks-preview",
    source:
      "AKS Pod Sandboxing documentation, preview text (articles/aks/use-pod-sandboxing.md until 2025-11)",
    baseVcpus: 1,
    baseMemoryMib: 2048,
    defaultVcpus: 0,
    defaultMemoryMib: 0,
    minimumMemoryMib: 0,
  },
  "aks-ga": {
    name: "aks-ga",
    source:
      "microsoft/kata-containers package_build.sh: DEFSTATICSANDBOXWORKLOADMEM=512, WORKLOADVCPUS=1",
    baseVcpus: 0,
    baseMemoryMib: 0,
    defaultVcpus: 1,
    defaultMemoryMib: 512,
    minimumMemoryMib: 128,
  },
};
