/**
 * How big Kata's own configuration makes a sandbox, as a sizing profile. Sources: kata-containers
 * src/runtime/pkg/oci/utils.go SandboxConfig, pkg/katautils/config.go defaultVCPUs and defaultMemSz,
 * virtcontainers/sandbox.go updateResources; src/runtime-rs/crates/resource/src/cpu_mem/initial_size.rs.
 */
import { cpus } from "node:os";
import {
  type PodLimits,
  type SizingProfile,
  sizeVm,
  type VmSize,
} from "../../../runtime-shim/index.ts";
import type { KataConfiguration } from "./configuration.ts";
import type { KataBuild } from "./find-shim.ts";

/** Less is taken for a slip, and this is what the VM gets then (MinHypervisorMemory, defaultMemSize). */
const leastMemoryMib = 256;
const defaultMemoryMib = 2048;

export function kataProfile(build: KataBuild, configuration: KataConfiguration): SizingProfile {
  return build === "rust" && configuration.staticResources
    ? rustProfile(configuration)
    : goProfile(build, configuration);
}

/** The size with its arithmetic in words, and what is not in the arithmetic. */
export function sizeKataVm(
  build: KataBuild,
  configuration: KataConfiguration,
  limits: PodLimits,
): VmSize & { readonly boot: { readonly vcpus: number; readonly memoryMib: number } } {
  const profile = kataProfile(build, configuration);
  const size = sizeVm(profile, limits);
  if (configuration.staticResources) return { ...size, boot: size };
  const boot = sizeVm(profile, {});
  const growth = `static_sandbox_resource_mgmt is false: the VM boots with ${boot.vcpus} vCPU and ${boot.memoryMib} MiB, and gets the rest by hotplug while containers start`;
  return { ...size, boot, lines: [...size.lines, growth] };
}

/** Static or dynamic: the defaults, and the limits on top of them. */
function goProfile(build: KataBuild, configuration: KataConfiguration): SizingProfile {
  const { values, defaultWorkload } = configuration;
  const isFork = configuration.staticResources && defaultWorkload !== undefined;
  return {
    name: build === "rust" ? "kata-rust" : "kata-go",
    source: sourceOf(configuration, isFork ? "the Azure fork's static sizing" : "default_*"),
    // The fork's defaults may be 0: then the VM is as big as the limits.
    baseVcpus: isFork ? values.default_vcpus : defaultVcpus(values.default_vcpus),
    baseMemoryMib: isFork
      ? values.default_memory
      : values.default_memory < leastMemoryMib
        ? defaultMemoryMib
        : values.default_memory,
    defaultVcpus: isFork ? defaultWorkload.vcpus : 0,
    defaultMemoryMib: isFork ? defaultWorkload.memoryMib : 0,
    minimumMemoryMib: 0,
  };
}

/** Limits and overhead_*; default_* only for a pod without any limit. */
function rustProfile(configuration: KataConfiguration): SizingProfile {
  const { values, defaultWorkload } = configuration;
  return {
    name: "kata-rust",
    source: sourceOf(configuration, "overhead_* with limits, default_* without"),
    baseVcpus: values.overhead_vcpus,
    baseMemoryMib: values.overhead_memory,
    defaultVcpus: 0,
    defaultMemoryMib: 0,
    minimumMemoryMib: 0,
    withoutLimits: {
      vcpus: values.default_vcpus || defaultWorkload?.vcpus || 1,
      memoryMib: values.default_memory || defaultWorkload?.memoryMib || 0,
    },
    // For huge pages.
    memoryStepMib: 2,
  };
}

function sourceOf({ file, hypervisor }: KataConfiguration, rule: string): string {
  return `Kata's own configuration ${file}, [hypervisor.${hypervisor}], ${rule}`;
}

function defaultVcpus(wanted: number): number {
  const host = cpus().length;
  if (wanted < 0 || wanted > host) return host;
  return wanted === 0 ? 1 : wanted;
}
