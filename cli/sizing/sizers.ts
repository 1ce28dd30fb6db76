/** What sizes the pods of this node: our profiles, and Kata's own configuration where its shim serves. */
import type { Paths } from "../../common/paths.ts";
import { problemText, sizeKataVm } from "../../simulator/runtime/index.ts";
import { cliError } from "../errors.ts";
import { assessKataOf, handlersOf } from "../handlers.ts";
import type { NodeSettings } from "../settings.ts";
import { builtinSizers, type Sizers } from "./explain-size.ts";

export async function sizersOf(paths: Paths, settings: NodeSettings): Promise<Sizers> {
  const genuine = (await handlersOf(paths, settings)).find(
    ({ options }) => options.kind === "kata",
  );
  if (genuine === undefined) return builtinSizers;
  const { shim, configuration, problems } = await assessKataOf(paths, settings);
  return {
    ...builtinSizers,
    [genuine.name]: {
      profile: shim?.build === "rust" ? "kata-rust" : "kata-go",
      size(limits) {
        if (configuration === undefined) {
          throw cliError(
            "MACHINE_LACKS",
            `nothing says how Kata sizes it: ${problemText(problems)}`,
            {
              hint: "katasim runtime list; --kata-config FILE names Kata's configuration",
            },
          );
        }
        return sizeKataVm(shim?.build ?? "go", configuration, limits);
      },
    },
  };
}
