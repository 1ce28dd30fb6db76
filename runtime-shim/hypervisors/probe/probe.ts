/**
 * Is a rung of the ladder worth anything on this machine? Asks by running ring-0 code and timing it: a
 * /dev/kvm that opens, creates VMs and runs a tiny payload correctly may still emulate every
 * privileged-mode instruction at 0.7 µs (seen on KVM_PVM), and no kernel ever boots there.
 */
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../../common/errors.ts";
import { findProgram } from "../../../common/process/find-program.ts";
import {
  type GuestNetwork,
  ladder,
  noUserNetwork,
  type Rung,
  type RungStatus,
  rungName,
  userNetworkRemedy,
} from "../ladder.ts";
import { loopTurns, probePayload } from "./payload.ts";
import { probeCommands, runPayload } from "./run-payload.ts";
import { type Measurement, measurementKey, readMeasurement, writeMeasurement } from "./verdict.ts";

// With working hardware virtualization, and in QEMU's emulation, the loop takes at most some ms; where
// privileged code is emulated one instruction at a time it takes 290 ms.
const usableLoopMs = 50;
// A host that takes a nap must not be taken for an unusable one.
const tries = 3;

const installHints = {
  qemu: "install the package qemu-system-x86",
  "cloud-hypervisor": "put a release of Cloud Hypervisor on PATH as cloud-hypervisor",
};

/** Every rung, best first. */
export function probeLadder(
  cacheDir: string,
  network?: GuestNetwork,
): Promise<readonly RungStatus[]> {
  return Promise.all(ladder.map((rung) => probeRung(rung, cacheDir, network)));
}

/**
 * The cached measurement of this boot and build, or a new one, written to `cacheDir` where possible. A
 * rung that cannot give guests the network they are to have is refused, however fast it is.
 */
export async function probeRung(
  rung: Rung,
  cacheDir: string,
  network?: GuestNetwork,
): Promise<RungStatus> {
  const { program } = probeCommands[rung.hypervisor];
  const path = findProgram(program);
  if (path === undefined) {
    return refused(rung, `${program} is not installed`, installHints[rung.hypervisor]);
  }
  if (network === "user" && rung.hypervisor === "cloud-hypervisor") {
    return refused(rung, noUserNetwork, userNetworkRemedy);
  }
  const obstacle = deviceObstacle(rung);
  if (obstacle !== undefined) return obstacle;
  const key = measurementKey(path);
  let measurement = readMeasurement(cacheDir, rung, key);
  if (measurement === undefined) {
    measurement = { ...(await measure(rung)), key };
    writeMeasurement(cacheDir, rung, measurement);
  }
  const { usable, explanation } = measurement;
  return usable ? { ...rung, usable, explanation } : refused(rung, explanation, slowRemedy(rung));
}

function refused(rung: Rung, explanation: string, remedy: string): RungStatus {
  return { ...rung, usable: false, explanation, remedy };
}

function slowRemedy({ accelerator }: Rung): string {
  return accelerator === "tcg"
    ? "reinstall the package qemu-system-x86"
    : "use a machine with hardware virtualization, or turn on nested virtualization of this one";
}

function deviceObstacle(rung: Rung): RungStatus | undefined {
  if (rung.accelerator === "tcg") return undefined;
  const device = `/dev/${rung.accelerator}`;
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      const remedy = `join the group that owns ${device}, or run katasim as root`;
      return refused(rung, `${device} cannot be opened (${messageOf(error)})`, remedy);
    }
    return rung.accelerator === "mshv"
      ? refused(
          rung,
          "/dev/mshv does not exist: this machine is no root partition of Hyper-V",
          "run katasim on a node that AKS made for Pod Sandboxing; the other rungs do without",
        )
      : refused(
          rung,
          "/dev/kvm does not exist: this machine offers no hardware virtualization",
          "turn on virtualization in the firmware, or nested virtualization if this is a VM",
        );
  }
}

async function measure(rung: Rung): Promise<Omit<Measurement, "key">> {
  const name = rungName(rung);
  const folder = mkdtempSync(join(tmpdir(), "katasim-probe-"));
  try {
    const kernel = join(folder, "probe.elf");
    writeFileSync(kernel, probePayload());
    const loopMs: Array<number | null> = [];
    let words = "";
    for (let attempt = 0; attempt < tries; attempt += 1) {
      const run = await runPayload(kernel, rung);
      loopMs.push(run.loopMs);
      if (run.loopMs === null) words = run.words;
      else if (run.loopMs <= usableLoopMs) {
        // Both of its bytes may come in one read: then all that is known is that it was fast.
        const time = run.loopMs < 1 ? "less than 1 ms" : `${run.loopMs.toFixed(1)} ms`;
        const explanation = `${name} ran ${loopTurns} ring-0 loop turns in ${time}`;
        return { usable: true, explanation, loopMs };
      }
    }
    const times = loopMs.filter((ms) => ms !== null);
    const explanation =
      times.length > 0
        ? `${name} took ${Math.min(...times).toFixed(0)} ms for ${loopTurns} ring-0 loop turns (at most ${usableLoopMs} ms is usable): privileged code is emulated here`
        : `${name} did not run the test program in ${tries} tries: ${words}`;
    return { usable: false, explanation, loopMs };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
