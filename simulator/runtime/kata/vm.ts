/**
 * What katasim knows of a VM that genuine Kata boots: its shim tells a pid and no more, so the rest is
 * what was assessed before the sandbox was started, and what nobody told stays unknown.
 */
import { podLimitsFromAnnotations } from "../../../runtime-shim/index.ts";
import type { VmFacts } from "../../runtime-port.ts";
import { runtimeError } from "../errors.ts";
import { type KataAssessment, problemText } from "./assessment.ts";
import { sizeKataVm } from "./sizing.ts";

/** Kept in the sandbox's record; present exactly when genuine Kata runs it. */
export interface KataVm {
  readonly version: string;
  readonly hypervisor: string;
  readonly accelerator: string;
  /** Given to the shim as ConfigPath. */
  readonly configuration: string;
  /** By Kata's arithmetic, not measured; at boot, where it grows by hotplug. */
  readonly vcpus: number;
  readonly memoryMib: number;
  readonly sizing: readonly string[];
}

/** Rejects with HANDLER_UNUSABLE naming all that is missing: nothing else is tried. */
export function planKataVm(
  assessment: KataAssessment,
  annotations: Readonly<Record<string, string>>,
): KataVm {
  const { shim, configuration, hypervisor, accelerator, problems } = assessment;
  const missing = !shim || !configuration || !hypervisor || !accelerator;
  if (problems.length > 0 || missing) {
    throw runtimeError(
      "HANDLER_UNUSABLE",
      `genuine Kata cannot be used: ${problemText(problems)}`,
      {
        hint: "katasim runtime list; without --kata genuine katasim's own shim serves the handler",
      },
    );
  }
  const size = sizeKataVm(shim.build, configuration, podLimitsFromAnnotations(annotations));
  return {
    version: shim.version,
    ...{ hypervisor, accelerator, configuration: configuration.file },
    ...{ vcpus: size.boot.vcpus, memoryMib: size.boot.memoryMib, sizing: size.lines },
  };
}

export function kataVmFacts(vm: KataVm, pid: number): VmFacts {
  const { hypervisor, accelerator, vcpus, memoryMib, configuration } = vm;
  return { hypervisor, accelerator, vcpus, memoryMib, pid, sizedBy: configuration };
}
