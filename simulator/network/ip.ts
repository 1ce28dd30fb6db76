/** iproute2: the programs that make namespaces and cables, and their failures in words. */
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CommandResult, runCommand } from "../command.ts";
import { networkError } from "./errors.ts";

export const netnsFolder = "/run/netns";

const timeoutMs = 10_000;

/** Runs `ip`, with `batch` as one command a line. Throws NETWORK_SETUP_FAILED. */
export async function ip(args: readonly string[], batch?: readonly string[]): Promise<string> {
  const result = await tryIp(args, batch);
  if (result.ok) return result.stdout;
  throw setupFailed(`ip ${args.join(" ")}`, result);
}

export function tryIp(args: readonly string[], batch?: readonly string[]): Promise<CommandResult> {
  return runCommand("ip", args, {
    timeoutMs,
    ...(batch === undefined ? {} : { input: `${batch.join("\n")}\n` }),
  });
}

/**
 * A namespace with its loopback up, in one go where `ip` takes two. The first namespace of a machine
 * must be made by `ip netns add`: it makes the folder a shared mount.
 */
export async function makeNetns(name: string): Promise<void> {
  const path = join(netnsFolder, name);
  await writeFile(path, "", { mode: 0o444, flag: "wx" });
  const args = [`--net=${path}`, "--", "ip", "link", "set", "lo", "up"];
  const result = await runCommand("unshare", args, { timeoutMs });
  if (!result.ok) throw setupFailed(`unshare ${args.join(" ")}`, result);
}

/** Its devices, and the other ends of their cables, go with it. Idempotent. */
export async function deleteNetns(name: string): Promise<void> {
  if (!existsSync(join(netnsFolder, name))) return;
  const result = await tryIp(["netns", "delete", name]);
  // `ip netns delete` refuses a name that is no mount any more, though the file is still there.
  if (!result.ok) await rm(join(netnsFolder, name), { force: true }).catch(() => undefined);
}

function setupFailed(command: string, result: CommandResult) {
  return networkError("NETWORK_SETUP_FAILED", `${command} failed: ${result.stderr}`, {
    hint: result.missing
      ? "Install the Debian packages iproute2 and util-linux."
      : "The kernel must offer network namespaces, bridge and veth devices.",
  });
}
