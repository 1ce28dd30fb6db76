/** What makes the pods' network: CNI plugins and the configuration they get. */
import { messageOf } from "../../common/errors.ts";
import type { Paths } from "../../common/paths.ts";
import { cniReport } from "../../simulator/network/index.ts";
import { cniOptions } from "../cni-options.ts";
import type { NodeSettings } from "../settings.ts";
import { type Check, failed, ok } from "./check.ts";

export function networkChecks(paths: Paths, settings: NodeSettings): readonly Check[] {
  return settings.network === "cni" ? [() => checkCni(paths, settings)] : [];
}

async function checkCni(paths: Paths, settings: NodeSettings) {
  const id = "cni";
  const options = cniOptions(paths, settings);
  try {
    const { list, plugins } = await cniReport(options);
    const missing = plugins.filter(({ file }) => file === undefined).map(({ type }) => type);
    const names = plugins.map(({ type }) => type).join(", ");
    return missing.length === 0
      ? ok(id, `network "${list.name}" of the CNI plugins ${names}`)
      : failed(
          id,
          `CNI plugins not found in ${options.binDirs.join(", ")}: ${missing.join(", ")}; pods get no network`,
          "apt-get install containernetworking-plugins   (or katasim up --cni-bin-dir DIR)",
        );
  } catch (error) {
    return failed(id, messageOf(error), "correct the file, or katasim up --cni-conf own");
  }
}
