/** What a CNI network would be made of here: for `katasim doctor`, `katasim network show` and `up`. */
import { parseRange } from "./address-range.ts";
import { loadNetworkList, type NetworkList, pluginTypes } from "./cni/network-list.ts";
import { assertPlugins, findPlugin } from "./cni/plugin.ts";
import { defaultNetworkList } from "./default-list.ts";
import { readRememberedRange } from "./pod-cidr.ts";

export interface CniReportOptions {
  readonly folder: string;
  readonly rangeFile: string;
  readonly podCidr?: string | undefined;
  readonly configFile?: string | undefined;
  readonly binDirs: readonly string[];
}

export interface CniReport {
  /** Absent for a list of the user's, and before the first `up` chose one. */
  readonly podCidr?: string;
  readonly list: NetworkList;
  readonly plugins: ReadonlyArray<{ readonly type: string; readonly file: string | undefined }>;
}

/** What the list holds in place of a range that the first `up` is to choose. */
const anyRange = "10.244.0.0/24";

/** Throws CNI_CONFIG_INVALID or POD_CIDR_INVALID. Changes nothing. */
export async function cniReport(options: CniReportOptions): Promise<CniReport> {
  const { configFile, binDirs } = options;
  const podCidr =
    configFile === undefined
      ? ((await readRememberedRange(options.rangeFile)) ?? options.podCidr)
      : undefined;
  const list =
    configFile === undefined
      ? defaultNetworkList(parseRange(podCidr ?? anyRange), leasesIn(options.folder))
      : await loadNetworkList(configFile);
  const plugins = await Promise.all(
    pluginTypes(list).map(async (type) => ({ type, file: await findPlugin(binDirs, type) })),
  );
  return { ...(podCidr === undefined ? {} : { podCidr }), list, plugins };
}

/** Throws CNI_CONFIG_INVALID or CNI_PLUGIN_MISSING. */
export async function assertCniNetwork(options: CniReportOptions): Promise<void> {
  const { list } = await cniReport(options);
  await assertPlugins({ binDirs: options.binDirs }, pluginTypes(list));
}

export function leasesIn(folder: string): string {
  return `${folder}/leases`;
}
