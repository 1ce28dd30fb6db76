/**
 * Which hypervisor and accelerator a sandbox gets. The ladder is decided by a probe that runs code;
 * what the user forces is taken or refused, never replaced.
 */
import type { Logger } from "../../common/log.ts";
import { shimError } from "../errors.ts";
import type { ShimOptions } from "../shim-options.ts";
import type { Accelerator, Hypervisor } from "./hypervisor.ts";
import { probeKvm } from "./probe/kvm.ts";
import type { ProbeVerdict } from "./probe/verdict.ts";
import { createQemu } from "./qemu.ts";

export interface HypervisorChoice {
  readonly hypervisor: Hypervisor;
  readonly accelerator: Accelerator;
  /** One sentence on why this rung. */
  readonly explanation: string;
}

/** The drivers there are, best first. */
const drivers: Readonly<Record<string, (options: { log: Logger }) => Hypervisor>> = {
  qemu: createQemu,
};

/** Rejects with HYPERVISOR_UNKNOWN or ACCELERATOR_UNUSABLE. */
export async function chooseHypervisor(
  options: Pick<ShimOptions, "hypervisor" | "accel">,
  dependencies: {
    readonly log: Logger;
    readonly probeCacheDir: string;
    readonly probe?: (cacheDir: string) => Promise<ProbeVerdict>;
  },
): Promise<HypervisorChoice> {
  const { log, probeCacheDir, probe = probeKvm } = dependencies;
  const name = options.hypervisor === "auto" ? "qemu" : options.hypervisor;
  const create = drivers[name];
  if (create === undefined) {
    throw shimError("HYPERVISOR_UNKNOWN", `the hypervisor ${name} is not supported yet`, {
      hint: "use --hypervisor qemu",
    });
  }
  const hypervisor = create({ log });
  if (options.accel === "tcg") {
    return { hypervisor, accelerator: "tcg", explanation: "software emulation was asked for" };
  }
  if (options.accel === "mshv") {
    throw shimError("ACCELERATOR_UNUSABLE", `${name} cannot use /dev/mshv`, {
      hint: "use --accel auto",
    });
  }
  const verdict = await probe(probeCacheDir);
  if (verdict.usable) return { hypervisor, accelerator: "kvm", explanation: verdict.explanation };
  if (options.accel === "kvm") {
    throw shimError(
      "ACCELERATOR_UNUSABLE",
      `KVM was asked for and is not usable: ${verdict.explanation}`,
      {
        hint: "use --accel auto or --accel tcg",
      },
    );
  }
  return {
    hypervisor,
    accelerator: "tcg",
    explanation: `software emulation, because ${verdict.explanation}`,
  };
}
