/** All checks of `katasim doctor`, run side by side, shown in this order. */
import type { Paths } from "../../common/paths.ts";
import type { NodeSettings } from "../settings.ts";
import type { Check, CheckResult } from "./check.ts";
import { dockerChecks } from "./docker.ts";
import { guestChecks } from "./guest.ts";
import { kataChecks } from "./kata.ts";
import { ladderChecks } from "./ladder.ts";
import { machineChecks } from "./machine.ts";
import { networkChecks } from "./network.ts";
import { programChecks } from "./programs.ts";

export async function checkAll(
  paths: Paths,
  settings: NodeSettings,
  env: NodeJS.ProcessEnv,
): Promise<readonly CheckResult[]> {
  const checks: readonly Check[] = [
    ...machineChecks(paths, settings.apiPort),
    ...programChecks(),
    ...dockerChecks(paths, settings, env),
    ...networkChecks(paths, settings),
    ...guestChecks(paths),
  ];
  const results = await Promise.all([
    ...checks.map(async (check) => [await check()]),
    ladderChecks(paths.guest, settings),
    kataChecks(paths, settings),
  ]);
  return results.flat();
}
