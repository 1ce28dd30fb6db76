/** Genuine Kata's row in the list of runtime handlers. */
import type { HandlerStatus } from "../../runtime-port.ts";
import type { HandlerConfig } from "../handler-table.ts";
import { type KataAssessment, problemText } from "./assessment.ts";
import { kataShimName } from "./find-shim.ts";
import { kataProfile } from "./sizing.ts";

export function kataStatus(
  { name, alternative }: Pick<HandlerConfig, "name" | "alternative">,
  assessment: KataAssessment,
): HandlerStatus {
  const { shim, configuration, hypervisor, accelerator, problems } = assessment;
  const build = shim?.build === "rust" ? "runtime-rs" : "Go";
  const sizing =
    configuration === undefined ? undefined : kataProfile(shim?.build ?? "go", configuration);
  const usable = problems.length === 0;
  return {
    name,
    engine: shim === undefined ? kataShimName : `${kataShimName} (${shim.version}, ${build})`,
    sandboxed: true,
    usable,
    reason: usable
      ? `Genuine Kata; its own configuration ${configuration?.file} sizes sandboxes, not katasim.`
      : `Genuine Kata cannot be used: ${problemText(problems)}.`,
    ...(sizing && { sizingProfile: sizing.name, sizing }),
    ...(hypervisor && { hypervisor }),
    ...(accelerator && { accelerator }),
    ...(configuration && { kataConfiguration: configuration.file }),
    ...(alternative && { alternative }),
  };
}
