/** The node's runtime handlers by its settings: which shim serves `kata` is decided here, by probing. */
import type { Paths } from "../common/paths.ts";
import {
  type AssessKataOptions,
  assessKata,
  type HandlerConfig,
  type KataAssessment,
  nodeHandlers,
  proveByLadder,
} from "../simulator/runtime/index.ts";
import type { NodeSettings } from "./settings.ts";

export function handlersOf(
  paths: Paths,
  settings: NodeSettings,
): Promise<readonly HandlerConfig[]> {
  return nodeHandlers({ kata: settings.kata, ...kataOptions(paths, settings) });
}

/** What genuine Kata would need, whether it is asked for or not. */
export function assessKataOf(paths: Paths, settings: NodeSettings): Promise<KataAssessment> {
  return assessKata(kataOptions(paths, settings));
}

function kataOptions(paths: Paths, settings: NodeSettings): AssessKataOptions {
  const { hypervisor, accel, require, kataConfig } = settings;
  return {
    ...(kataConfig === "" ? {} : { configFile: kataConfig }),
    wanted: { hypervisor, accel, require },
    prove: proveByLadder(paths.guest),
  };
}
