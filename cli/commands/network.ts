/** `katasim network show`: what makes the pods' network, and the CNI configuration it is made by. */
import type { Command } from "commander";
import { cniReport } from "../../simulator/network/index.ts";
import { cniOptions } from "../cni-options.ts";
import { cliObject } from "../output/objects.ts";
import { type Bind, withOutput } from "../program.ts";
import { readRememberedSettings, resolveSettings } from "../settings.ts";

export function addNetwork(program: Command, bind: Bind): void {
  const group = program.command("network").description("the pods' network");
  const show = withOutput(
    group.command("show").description("its kind, range, plugins and CNI configuration"),
  );
  bind(show, async (context) => {
    const { paths } = context;
    const settings = resolveSettings({}, context.env, await readRememberedSettings(paths));
    const { podCidr, list, plugins } = await cniReport(cniOptions(paths, settings));
    const fields = { network: settings.network, podCidr, plugins, config: list };
    context.printObject(cliObject("Network", fields), () =>
      [
        `network   ${settings.network}`,
        `pods      ${podCidr ?? (settings.cniConf === "own" ? "the first free 10.244.N.0/24, chosen by the first up" : "as the configuration says")}`,
        `node      namespace katasim-${paths.machineName}`,
        ...plugins.map(({ type, file }) => `plugin    ${file ?? `${type} is missing`}`),
        JSON.stringify(list, null, 2),
        "",
      ].join("\n"),
    );
    return 0;
  });
}
