/** Every hypervisor of the ladder, the real ones and those that are played: each is run through one suite. */
import { silentLogger } from "../../common/log.ts";
import { createCloudHypervisor } from "../../runtime-shim/hypervisors/cloud-hypervisor.ts";
import type { Hypervisor } from "../../runtime-shim/hypervisors/hypervisor.ts";
import { type Rung, rungName } from "../../runtime-shim/hypervisors/ladder.ts";
import { probeRung } from "../../runtime-shim/hypervisors/probe/probe.ts";
import { createQemu } from "../../runtime-shim/hypervisors/qemu.ts";
import { fakeObstacle } from "../fakes/cloud-hypervisor/install.ts";
import { vmTestObstacle } from "../support/guest-image.ts";

const log = silentLogger;

export interface HypervisorTwin extends Rung {
  readonly title: string;
  readonly create: () => Hypervisor;
  readonly played?: boolean;
  /** Why it is left out here. */
  readonly obstacle: string | undefined;
}

async function onMachine(
  rung: Rung,
  create: () => Hypervisor,
  probes: string,
): Promise<HypervisorTwin> {
  const { usable, explanation } = await probeRung(rung, probes);
  const obstacle = vmTestObstacle() ?? (usable ? undefined : explanation);
  return { ...rung, title: rungName(rung), create, obstacle };
}

function playedByQemu(accelerator: "kvm" | "mshv"): HypervisorTwin {
  return {
    ...{ hypervisor: "cloud-hypervisor", accelerator, played: true },
    title: `cloud-hypervisor/${accelerator} played by QEMU`,
    create: () => createCloudHypervisor({ log }),
    obstacle: vmTestObstacle() ?? fakeObstacle,
  };
}

/** `probes`: a folder for the probe's notes. */
export async function hypervisorTwins(probes: string): Promise<readonly HypervisorTwin[]> {
  const qemu = () => createQemu({ log });
  const cloudHypervisor = () => createCloudHypervisor({ log });
  return [
    await onMachine({ hypervisor: "qemu", accelerator: "tcg" }, qemu, probes),
    playedByQemu("kvm"),
    playedByQemu("mshv"),
    await onMachine({ hypervisor: "qemu", accelerator: "kvm" }, qemu, probes),
    await onMachine(
      { hypervisor: "cloud-hypervisor", accelerator: "kvm" },
      cloudHypervisor,
      probes,
    ),
    await onMachine(
      { hypervisor: "cloud-hypervisor", accelerator: "mshv" },
      cloudHypervisor,
      probes,
    ),
  ];
}
