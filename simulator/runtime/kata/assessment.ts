/**
 * Can genuine Kata run a sandbox here? Its shim, its configuration, the files that one names, and an
 * accelerator that a probe proves: each thing that is missing is named with what mends it.
 */
import { existsSync } from "node:fs";
import { isSimError, messageOf } from "../../../common/errors.ts";
import {
  meets,
  probeLadder,
  type RungStatus,
  type ShimOptions,
} from "../../../runtime-shim/index.ts";
import { type KataConfiguration, readKataConfiguration } from "./configuration.ts";
import { findKataShim, identifyKataShim, type KataShim, kataShimName } from "./find-shim.ts";

export interface KataProblem {
  readonly what: string;
  readonly remedy: string;
}

export interface KataAssessment {
  readonly shim?: KataShim;
  readonly configuration?: KataConfiguration;
  /** As the ladder calls it, where it knows it. */
  readonly hypervisor?: string;
  readonly accelerator?: "kvm" | "mshv";
  /** Empty when it can. */
  readonly problems: readonly KataProblem[];
}

type Proof = Pick<RungStatus, "usable" | "explanation" | "remedy">;

/** Whether ring-0 code runs at full speed on a device. */
export type ProveAccelerator = (accelerator: "kvm" | "mshv") => Promise<Proof>;

export interface AssessKataOptions {
  /** In place of KATA_CONF_FILE and of Kata's own places. */
  readonly configFile?: string;
  /** What the user forces or demands of every sandbox. */
  readonly wanted: Pick<ShimOptions, "hypervisor" | "accel" | "require">;
  readonly prove: ProveAccelerator;
}

/** Never rejects: what is wrong is the answer. */
export async function assessKata(options: AssessKataOptions): Promise<KataAssessment> {
  const { configFile, wanted, prove } = options;
  const problems: KataProblem[] = [];
  const attempt = async <T>(step: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await step();
    } catch (error) {
      const remedy =
        (isSimError(error) ? error.hint : undefined) ?? "install Kata Containers again";
      problems.push({ what: messageOf(error), remedy });
      return undefined;
    }
  };
  const path = findKataShim();
  if (path === undefined) {
    const what = `${kataShimName} is neither on PATH nor in the folders of Kata's packages`;
    problems.push({ what, remedy: "install a release of Kata Containers" });
  }
  const shim = path === undefined ? undefined : await attempt(() => identifyKataShim(path));
  const given = { env: process.env, ...(configFile === undefined ? {} : { file: configFile }) };
  const configuration = await attempt(() => readKataConfiguration(shim?.build ?? "go", given));
  const found = { ...(shim && { shim }), ...(configuration && { configuration }) };
  if (configuration === undefined) return { ...found, problems };
  problems.push(...missingFiles(configuration));
  const hypervisor = ladderNames[configuration.hypervisor] ?? configuration.hypervisor;
  if (hypervisor === "remote") {
    const what = `${configuration.file} runs sandboxes on other machines ([hypervisor.remote])`;
    problems.push({ what, remedy: "use a configuration with a hypervisor of this machine" });
    return { ...found, hypervisor, problems };
  }
  // Cloud Hypervisor takes the device that is there; Kata has no other use for mshv.
  const accelerator = hypervisor === "cloud-hypervisor" && existsSync("/dev/mshv") ? "mshv" : "kvm";
  const proof = await prove(accelerator);
  if (!proof.usable) {
    const what = `Kata needs ${accelerator}, and ${proof.explanation}`;
    problems.push({ what, remedy: proof.remedy ?? "use a machine with hardware virtualization" });
  }
  const refusal = refusalOf({ hypervisor, accelerator }, wanted);
  if (refusal !== undefined) {
    problems.push({
      what: refusal,
      remedy: "name a fitting configuration with --kata-config FILE",
    });
  }
  return { ...found, hypervisor, accelerator, problems };
}

const ladderNames: Readonly<Record<string, string>> = { clh: "cloud-hypervisor" };

/** By the rungs of our own ladder: any hypervisor on the device proves it. */
export function proveByLadder(cacheDir: string): ProveAccelerator {
  return async (accelerator) => {
    const rungs = (await probeLadder(cacheDir)).filter((rung) => rung.accelerator === accelerator);
    const best = rungs.find(({ usable }) => usable) ?? rungs.at(-1);
    return best ?? { usable: false, explanation: `nothing here can try ${accelerator}` };
  };
}

/** One sentence a problem, with its remedy. */
export function problemText(problems: readonly KataProblem[]): string {
  return problems.map(({ what, remedy }) => `${what} (${remedy})`).join("; ");
}

function missingFiles({ file, hypervisor, values }: KataConfiguration): readonly KataProblem[] {
  const { path, kernel, image, initrd, shared_fs, virtio_fs_daemon } = values;
  const named = { path, kernel, image, initrd };
  const daemon = shared_fs?.startsWith("virtio-fs") ? { virtio_fs_daemon } : {};
  return Object.entries({ ...named, ...daemon })
    .filter(([, target]) => target !== undefined && target !== "" && !existsSync(target))
    .map(([key, target]) => ({
      what: `${target} does not exist, which ${file} names as hypervisor.${hypervisor}.${key}`,
      remedy: "install the rest of Kata's release, or mend the path",
    }));
}

function refusalOf(
  rung: { readonly hypervisor: string; readonly accelerator: string },
  { hypervisor, accel, require }: AssessKataOptions["wanted"],
): string | undefined {
  const name = `${rung.hypervisor}/${rung.accelerator}`;
  if (hypervisor !== "auto" && hypervisor !== rung.hypervisor) {
    return `${hypervisor} is forced, and Kata's configuration gives ${name}`;
  }
  if (accel !== "auto" && accel !== rung.accelerator) {
    return `${accel} is forced, and Kata runs on ${name}`;
  }
  return meets(rung, require) ? undefined : `${require} is required, and Kata runs on ${name}`;
}
