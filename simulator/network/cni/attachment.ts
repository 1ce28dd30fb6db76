/**
 * One pod's attachment to a network: the plugins of the list in order for ADD, each given the result of
 * the one before, and in reverse for DEL (CNI specification 1.0, section 3).
 */
import {
  type CapabilityArguments,
  knowsCheck,
  type NetworkList,
  pluginInput,
} from "./network-list.ts";
import { type PluginCommand, type PluginHost, runPlugin } from "./plugin.ts";
import { type CniResult, parseResult } from "./result.ts";

/** All that DEL needs again: kept on disk from before ADD. */
export interface Attachment {
  readonly list: NetworkList;
  readonly containerId: string;
  readonly netnsPath: string;
  readonly args: string;
  readonly capabilities: CapabilityArguments;
  /** Absent while ADD is under way. */
  readonly result?: CniResult;
}

export const podInterface = "eth0";

export async function addAttachment(host: PluginHost, attachment: Attachment): Promise<CniResult> {
  const { list } = attachment;
  let result: CniResult | undefined;
  for (const plugin of list.plugins) {
    const stdout = await call(host, "ADD", attachment, plugin, result);
    result = parseResult(stdout, list.name, plugin.type);
  }
  return result ?? {};
}

export async function deleteAttachment(host: PluginHost, attachment: Attachment): Promise<void> {
  const result = knowsCheck(attachment.list) ? attachment.result : undefined;
  for (const plugin of attachment.list.plugins.toReversed()) {
    await call(host, "DEL", attachment, plugin, result);
  }
}

/** Rejects when a plugin finds that the attachment no longer stands. */
export async function checkAttachment(host: PluginHost, attachment: Attachment): Promise<void> {
  const { list, result } = attachment;
  if (list.disableCheck === true || !knowsCheck(list) || result === undefined) return;
  for (const plugin of list.plugins) await call(host, "CHECK", attachment, plugin, result);
}

function call(
  host: PluginHost,
  command: PluginCommand,
  attachment: Attachment,
  plugin: NetworkList["plugins"][number],
  prevResult: CniResult | undefined,
): Promise<string> {
  const { list, containerId, netnsPath, args, capabilities } = attachment;
  return runPlugin(host, {
    command,
    network: list.name,
    type: plugin.type,
    input: pluginInput(list, plugin, { capabilities, prevResult }),
    containerId,
    netnsPath,
    ifName: podInterface,
    args,
  });
}
