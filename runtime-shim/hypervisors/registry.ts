/** From a rung of the ladder to the driver that stands on it. */
import type { Logger } from "../../common/log.ts";
import { createCloudHypervisor } from "./cloud-hypervisor.ts";
import type { Accelerator, Hypervisor } from "./hypervisor.ts";
import {
  chooseRung,
  type GuestNetwork,
  type HypervisorName,
  type LadderOptions,
} from "./ladder.ts";
import { probeRung } from "./probe/probe.ts";
import { createQemu } from "./qemu.ts";

export interface HypervisorChoice {
  readonly hypervisor: Hypervisor;
  readonly accelerator: Accelerator;
  /** One sentence on why this rung. */
  readonly explanation: string;
}

type CreateHypervisor = (options: { readonly log: Logger }) => Hypervisor;

const drivers: Readonly<Record<HypervisorName, CreateHypervisor>> = {
  "cloud-hypervisor": createCloudHypervisor,
  qemu: createQemu,
};

/** Rejects with ACCELERATOR_UNUSABLE or RUNG_REQUIRED. */
export async function chooseHypervisor(
  options: LadderOptions & { readonly network: GuestNetwork },
  { log, probeCacheDir }: { readonly log: Logger; readonly probeCacheDir: string },
): Promise<HypervisorChoice> {
  const { hypervisor, accelerator, explanation } = await chooseRung(options, (rung) =>
    probeRung(rung, probeCacheDir, options.network),
  );
  return { hypervisor: drivers[hypervisor]({ log }), accelerator, explanation };
}
