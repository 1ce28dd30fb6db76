/**
 * A CNI network configuration list: reads and checks it (CNI specification 1.0, section 1), and derives
 * from it what each plugin is given (section 3).
 */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { messageOf } from "../../../common/errors.ts";
import { networkError } from "../errors.ts";

/** Lists came with 0.3.0. A plugin that does not know the version of a list refuses it itself. */
const versions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
const name = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, "is no name of a network");
const type = z.string().regex(/^[^/]+$/, "is no name of a plugin");
const version = z.enum(versions, `must be one of ${versions.join(", ")}`);

const PluginSchema = z.looseObject({
  type,
  capabilities: z.record(z.string(), z.boolean()).optional(),
});

const NetworkListSchema = z.looseObject({
  cniVersion: version,
  name,
  disableCheck: z.boolean().optional(),
  plugins: z.array(PluginSchema).min(1, "must name a plugin"),
});

/** One plugin alone, as *.conf files hold it: libcni takes it for a list of one. */
const SinglePluginSchema = z.looseObject({ ...PluginSchema.shape, cniVersion: version, name });

type PluginConfig = z.infer<typeof PluginSchema>;

export interface NetworkList {
  readonly cniVersion: (typeof versions)[number];
  readonly name: string;
  readonly disableCheck?: boolean | undefined;
  readonly plugins: readonly PluginConfig[];
}

/** Parameters of one container for the plugins that declare the capability of that name. */
export type CapabilityArguments = Readonly<Record<string, unknown>>;

/** Throws CNI_CONFIG_INVALID naming `source` and the field. */
export function parseNetworkList(text: string, source: string): NetworkList {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(source, messageOf(error), error);
  }
  const isList = typeof json === "object" && json !== null && "plugins" in json;
  const parsed = (isList ? NetworkListSchema : SinglePluginSchema).safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = issue?.path.map((key) =>
      typeof key === "number" ? `[${key}]` : `.${String(key)}`,
    );
    const field = place?.join("").replace(/^\./, "");
    throw invalid(source, `${field ? `${field}: ` : ""}${issue?.message}`, parsed.error);
  }
  if (isList) return parsed.data as z.infer<typeof NetworkListSchema>;
  const {
    cniVersion,
    name: network,
    ...plugin
  } = parsed.data as z.infer<typeof SinglePluginSchema>;
  return { cniVersion, name: network, plugins: [plugin] };
}

export async function loadNetworkList(file: string): Promise<NetworkList> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw invalid(file, messageOf(error), error);
  }
  return parseNetworkList(text, file);
}

function invalid(source: string, why: string, cause: unknown) {
  return networkError("CNI_CONFIG_INVALID", `${source} is no CNI configuration: ${why}`, {
    cause,
    hint: "Give a list as cni.dev describes it: cniVersion, name and plugins, as in /etc/cni/net.d/*.conflist.",
  });
}

/** What one plugin of the list reads on its standard input. */
export function pluginInput(
  list: NetworkList,
  plugin: PluginConfig,
  args: { readonly capabilities: CapabilityArguments; readonly prevResult: unknown },
): Readonly<Record<string, unknown>> {
  const { capabilities = {}, ...config } = plugin;
  const wanted = Object.entries(args.capabilities).filter(([key]) => capabilities[key] === true);
  return {
    ...config,
    cniVersion: list.cniVersion,
    name: list.name,
    ...(wanted.length === 0 ? {} : { runtimeConfig: Object.fromEntries(wanted) }),
    ...(args.prevResult === undefined ? {} : { prevResult: args.prevResult }),
  };
}

/** The programs a list runs: its plugins and those they delegate addresses to. */
export function pluginTypes({ plugins }: NetworkList): readonly string[] {
  const types = plugins.flatMap(({ type, ipam }) => [type, ...(isNamed(ipam) ? [ipam.type] : [])]);
  return [...new Set(types)];
}

function isNamed(ipam: unknown): ipam is { readonly type: string } {
  return (
    typeof ipam === "object" && ipam !== null && "type" in ipam && typeof ipam.type === "string"
  );
}

export const hostPortCapability = "portMappings";

export function opensHostPorts({ plugins }: NetworkList): boolean {
  return plugins.some(({ capabilities }) => capabilities?.[hostPortCapability] === true);
}

/** CHECK, and the result of ADD for DEL, came with 0.4.0. */
export function knowsCheck({ cniVersion }: NetworkList): boolean {
  return cniVersion !== "0.3.0" && cniVersion !== "0.3.1";
}
