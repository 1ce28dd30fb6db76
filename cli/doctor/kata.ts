/** Genuine Kata: whether it could serve the handler `kata`, and whether it has to. */
import type { Paths } from "../../common/paths.ts";
import { assessKataOf } from "../handlers.ts";
import type { NodeSettings } from "../settings.ts";
import { absent, type CheckResult, failed, ok } from "./check.ts";

export async function kataChecks(
  paths: Paths,
  settings: NodeSettings,
): Promise<readonly CheckResult[]> {
  const id = "genuine-kata";
  const { shim, hypervisor, accelerator, configuration, problems } = await assessKataOf(
    paths,
    settings,
  );
  if (problems.length === 0) {
    const use = settings.kata === "katasim" ? "could serve (up --kata genuine)" : "serves";
    const words = `Kata ${shim?.version} on ${hypervisor}/${accelerator} ${use} the handler kata, sized by ${configuration?.file}`;
    return [ok(id, words)];
  }
  // Only who asked for it misses it: katasim's own shim serves the handler else.
  const bad = settings.kata === "genuine" ? failed : absent;
  return problems.map(({ what, remedy }) => bad(id, what, remedy));
}
