/**
 * Runs one CNI plugin (CNI specification 1.0, sections 2 and 5): parameters in CNI_* variables, the
 * configuration on standard input, a result or an error object on standard output.
 */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { SimError } from "../../../common/errors.ts";
import { programPath } from "../../../common/process/run-program.ts";
import { runCommand } from "../../command.ts";
import { networkError } from "../errors.ts";

export type PluginCommand = "ADD" | "DEL" | "CHECK";

/** Where plugins are looked for, in this order, and where they run. */
export interface PluginHost {
  readonly binDirs: readonly string[];
  /** The network namespace to run in; absent: katasim's own. */
  readonly netnsPath?: string | undefined;
}

export interface PluginCall {
  readonly command: PluginCommand;
  readonly network: string;
  readonly type: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly containerId: string;
  /** Empty when the namespace is gone: DEL then frees what lies outside. */
  readonly netnsPath: string;
  readonly ifName: string;
  /** CNI_ARGS */
  readonly args: string;
}

// DHCP and the like wait for others. The kubelet gives a sandbox four minutes altogether.
const timeoutMs = 60_000;

const ErrorSchema = z.object({
  code: z.number(),
  msg: z.string(),
  details: z.string().optional(),
});

/** What a person can do about the error codes that the specification reserves. */
const remedies: Readonly<Record<number, string>> = {
  1: "Use a cniVersion that the plugin supports.",
  7: "Correct the CNI configuration; katasim network show prints it.",
  11: "Try again: the plugin waits for something that clears by itself.",
};

/** Answers what ADD printed. Throws CNI_PLUGIN_MISSING or CNI_PLUGIN_FAILED, in libcni's words. */
export async function runPlugin(host: PluginHost, call: PluginCall): Promise<string> {
  const file = await findPlugin(host.binDirs, call.type);
  if (file === undefined) throw missingPlugin(host, call.type);
  const enter = host.netnsPath === undefined ? [] : ["nsenter", `--net=${host.netnsPath}`, "--"];
  const [program = file, ...args] = [...enter, file];
  const result = await runCommand(program, args, {
    input: JSON.stringify(call.input),
    timeoutMs,
    env: {
      CNI_COMMAND: call.command,
      CNI_CONTAINERID: call.containerId,
      CNI_NETNS: call.netnsPath,
      CNI_IFNAME: call.ifName,
      CNI_ARGS: call.args,
      CNI_PATH: host.binDirs.join(":"),
      // Plugins run iptables and the like.
      PATH: programPath(),
    },
  });
  if (result.ok) return result.stdout;
  throw pluginFailed(call, result);
}

export async function findPlugin(
  binDirs: readonly string[],
  type: string,
): Promise<string | undefined> {
  for (const folder of binDirs) {
    const file = join(folder, type);
    const runs = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return file;
  }
  return undefined;
}

/** Before anything is made: what was added by half could not be deleted, either. */
export async function assertPlugins(host: PluginHost, types: readonly string[]): Promise<void> {
  for (const type of types) {
    if ((await findPlugin(host.binDirs, type)) === undefined) throw missingPlugin(host, type);
  }
}

function missingPlugin({ binDirs }: PluginHost, type: string): SimError {
  return networkError(
    "CNI_PLUGIN_MISSING",
    `failed to find plugin "${type}" in path [${binDirs.join(" ")}]`,
    {
      hint: "Install the Debian package containernetworking-plugins, or name the plugins' folder: katasim up --cni-bin-dir DIR.",
    },
  );
}

function pluginFailed(
  { network, type, command }: PluginCall,
  result: { readonly stdout: string; readonly stderr: string; readonly timedOut: boolean },
): SimError {
  const verb = { ADD: "add", DEL: "delete", CHECK: "check" }[command];
  const parsed = ErrorSchema.safeParse(parseJson(result.stdout));
  const { code, msg, details } = parsed.data ?? {};
  const why = result.timedOut
    ? `netplugin did not end within ${timeoutMs / 1000} s`
    : msg !== undefined
      ? msg + (details ? `; ${details}` : "")
      : result.stdout === ""
        ? `netplugin failed with no error message: ${JSON.stringify(result.stderr)}`
        : `netplugin failed but error parsing its diagnostic message ${JSON.stringify(result.stdout.slice(0, 500))}`;
  const hint = code === undefined ? undefined : remedies[code];
  return networkError(
    "CNI_PLUGIN_FAILED",
    `plugin type="${type}" name="${network}" failed (${verb}): ${why}`,
    {
      ...(hint === undefined ? {} : { hint }),
      ...(code === undefined ? {} : { details: { cniCode: code } }),
    },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
