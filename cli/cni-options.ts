/** Settings of the pod network in the words of the simulator's CNI part. */
import { join } from "node:path";
import type { Paths } from "../common/paths.ts";
import type { CniNetworkOptions } from "../simulator/network/index.ts";
import { nodeInternalIp } from "../simulator/node/node-object.ts";
import type { NodeSettings } from "./settings.ts";

export function cniOptions(
  paths: Paths,
  { podCidr, cniConf, cniBinDir }: NodeSettings,
): Omit<CniNetworkOptions, "log"> {
  return {
    name: paths.machineName,
    folder: join(paths.run, "network"),
    rangeFile: join(paths.state, "pod-cidr"),
    nodeIp: nodeInternalIp,
    podCidr: podCidr === "auto" ? undefined : podCidr,
    configFile: cniConf === "own" ? undefined : cniConf,
    binDirs: cniBinDir.split(":"),
  };
}
