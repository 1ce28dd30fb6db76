/**
 * The ladder: which hypervisor on which accelerator a sandbox gets. The best rung that a probe proves
 * is taken; what the user forces or demands is taken or refused, never replaced.
 */
import { shimError } from "../errors.ts";
import type { Accelerator } from "./hypervisor.ts";

export type HypervisorName = "cloud-hypervisor" | "qemu";

export interface Rung {
  readonly hypervisor: HypervisorName;
  readonly accelerator: Accelerator;
}

/** Best first: what an AKS node has, then what comes near to it. */
export const ladder: readonly Rung[] = [
  { hypervisor: "cloud-hypervisor", accelerator: "mshv" },
  { hypervisor: "cloud-hypervisor", accelerator: "kvm" },
  { hypervisor: "qemu", accelerator: "kvm" },
  { hypervisor: "qemu", accelerator: "tcg" },
];

/** "qemu/kvm" */
export function rungName({ hypervisor, accelerator }: Rung): string {
  return `${hypervisor}/${accelerator}`;
}

export const networkChoices = ["netns", "user", "none"] as const;
/** Where a guest's NIC leads: into the pod's network namespace, into a network the VMM plays, or nowhere. */
export type GuestNetwork = (typeof networkChoices)[number];

export const noUserNetwork = "Cloud Hypervisor has no user-mode network";
export const userNetworkRemedy = "run katasim as root with --network cni; QEMU's rungs do without";

export interface RungStatus extends Rung {
  readonly usable: boolean;
  /** One sentence: what was done and what came of it. */
  readonly explanation: string;
  /** What would make it usable; absent when it is. */
  readonly remedy?: string;
}

export type AssessRung = (rung: Rung) => Promise<RungStatus>;

export interface LadderOptions {
  /** Forces a hypervisor or accelerator: no other rung is tried then. */
  readonly hypervisor: HypervisorName | "auto";
  readonly accel: Accelerator | "auto";
  /** Demands what the rung that is taken must be; one of `requirements`. */
  readonly require: Requirement;
}

const kinds = ["any", "hardware", "mshv", "kvm", "tcg", "cloud-hypervisor", "qemu"] as const;

export type Requirement = (typeof kinds)[number] | `${HypervisorName}/${Accelerator}`;

/** All that can be demanded of a rung. */
export const requirements: readonly [Requirement, ...Requirement[]] = [
  ...kinds,
  ...ladder.map(({ hypervisor, accelerator }) => `${hypervisor}/${accelerator}` as const),
];

export interface RungChoice extends Rung {
  /** One sentence on why this rung. */
  readonly explanation: string;
}

/** Rejects with ACCELERATOR_UNUSABLE or RUNG_REQUIRED, naming why each candidate fell out. */
export async function chooseRung(options: LadderOptions, assess: AssessRung): Promise<RungChoice> {
  const { hypervisor, accel } = options;
  const candidates = ladder.filter(
    (rung) =>
      (hypervisor === "auto" || rung.hypervisor === hypervisor) &&
      (accel === "auto" || rung.accelerator === accel),
  );
  if (candidates.length === 0) {
    throw shimError("ACCELERATOR_UNUSABLE", `${hypervisor} cannot use ${accel}`, {
      hint: `the rungs there are: ${ladder.map(rungName).join(", ")}`,
    });
  }
  const passedOver: RungStatus[] = [];
  for (const candidate of candidates) {
    const status = await assess(candidate);
    if (!status.usable) {
      passedOver.push(status);
      continue;
    }
    const explanation = explain(status, options, passedOver);
    if (!meets(status, options.require)) {
      throw shimError(
        "RUNG_REQUIRED",
        `${options.require} is required, and the best rung of this machine is ${rungName(status)}: ${explanation}`,
        { hint: "katasim runtime list explains every rung; without --require it would be used" },
      );
    }
    return { ...candidate, explanation };
  }
  const reasons = passedOver.map((status) => `${rungName(status)}: ${status.explanation}`);
  const remedy = passedOver.find((status) => status.remedy !== undefined)?.remedy;
  throw shimError("ACCELERATOR_UNUSABLE", `no hypervisor is usable: ${reasons.join("; ")}`, {
    hint: remedy ?? "use --hypervisor auto --accel auto",
  });
}

/** Answers from what was assessed before. */
export function among(rungs: readonly RungStatus[]): AssessRung {
  return async (wanted) => {
    const found = rungs.find((rung) => rungName(rung) === rungName(wanted));
    return found ?? { ...wanted, usable: false, explanation: "it was not looked at" };
  };
}

/** Whether a rung is what `--require` demands. */
export function meets(
  { hypervisor, accelerator }: { readonly hypervisor: string; readonly accelerator: string },
  requirement: Requirement,
): boolean {
  if (requirement === "any") return true;
  if (requirement === "hardware") return accelerator !== "tcg";
  return [hypervisor, accelerator, `${hypervisor}/${accelerator}`].includes(requirement);
}

function explain(
  { accelerator, explanation }: RungStatus,
  { accel }: LadderOptions,
  passedOver: readonly RungStatus[],
): string {
  if (accel !== "auto") return `${accel} was asked for: ${explanation}`;
  const better = passedOver.at(-1);
  if (accelerator !== "tcg" || better === undefined) return explanation;
  return `software emulation, because ${better.explanation}`;
}
