/** Every rung of the hypervisor ladder, measured, and the one a sandbox would get. */
import { messageOf } from "../../common/errors.ts";
import {
  among,
  chooseRung,
  probeLadder,
  type RungStatus,
  rungName,
} from "../../runtime-shim/index.ts";
import { guestNetworks, type NodeSettings } from "../settings.ts";
import { absent, type CheckResult, failed, ok } from "./check.ts";

export async function ladderChecks(
  cacheDir: string,
  settings: NodeSettings,
): Promise<readonly CheckResult[]> {
  const rungs = await probeLadder(cacheDir, guestNetworks[settings.network]);
  return [...rungs.map(checkRung), await checkChoice(rungs, settings)];
}

function checkRung(rung: RungStatus): CheckResult {
  const { usable, explanation, remedy = "" } = rung;
  return usable ? ok(rungName(rung), explanation) : absent(rungName(rung), explanation, remedy);
}

async function checkChoice(
  rungs: readonly RungStatus[],
  settings: NodeSettings,
): Promise<CheckResult> {
  const id = "hypervisor";
  try {
    const rung = await chooseRung(settings, among(rungs));
    return ok(id, `sandboxes run on ${rungName(rung)}: ${rung.explanation}`);
  } catch (error) {
    return failed(id, messageOf(error), "katasim up --hypervisor auto --accel auto --require any");
  }
}
