/**
 * The cable between the network namespace katasim runs in and the node's bridge: the host reaches pods
 * by it. Nothing is routed through the host: what comes in by this cable ends on this machine.
 */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { messageOf } from "../../common/errors.ts";
import type { AddressRange } from "./address-range.ts";
import { networkError } from "./errors.ts";
import { ip, tryIp } from "./ip.ts";
import { nodeBridge } from "./node-netns.ts";

const nodeEnd = "host0";

/** Device names end at 15 bytes; `ip link` shows the instance's name as alias. */
export function hostLinkName(nodeNetns: string): string {
  return `kata${createHash("sha256").update(nodeNetns).digest("hex").slice(0, 8)}`;
}

/** Throws POD_CIDR_TAKEN when another route came first, else what kept the cable from being made. */
export async function ensureHostLink(nodeNetns: string, range: AddressRange): Promise<void> {
  const device = hostLinkName(nodeNetns);
  if (await stands(device, range)) return;
  await removeHostLink(nodeNetns);
  try {
    const made = await tryIp(
      ["-batch", "-"],
      [
        `link add ${device} type veth peer name ${nodeEnd} netns ${nodeNetns}`,
        `link set ${device} alias "${nodeNetns}"`,
        `addr add ${range.host}/${range.prefixLength} dev ${device} noprefixroute`,
        `link set ${device} up`,
        // `add` fails where the route exists: of two nodes that chose one range at once, one has it.
        `route add ${range.cidr} dev ${device} src ${range.host}`,
      ],
    );
    if (!made.ok) {
      const code = made.stderr.includes("File exists") ? "POD_CIDR_TAKEN" : "NETWORK_SETUP_FAILED";
      throw networkError(code, `its end of the cable was not made: ${made.stderr}`);
    }
    // An untrusted pod must not send through the machine to where the machine can go.
    await writeFile(`/proc/sys/net/ipv4/conf/${device}/forwarding`, "0");
    await writeFile(`/proc/sys/net/ipv6/conf/${device}/disable_ipv6`, "1").catch(() => undefined);
    await ip(
      ["-n", nodeNetns, "-batch", "-"],
      [`link set ${nodeEnd} master ${nodeBridge}`, `link set ${nodeEnd} up`],
    );
  } catch (error) {
    await removeHostLink(nodeNetns);
    throw error;
  }
}

async function stands(device: string, range: AddressRange): Promise<boolean> {
  if (!(await exists(device))) return false;
  const route = await tryIp(["-o", "-4", "route", "show", range.cidr, "dev", device]);
  return route.ok && route.stdout.includes(range.cidr);
}

/** /sys shows the devices of whoever mounted it; this file those of our own namespace. */
async function exists(device: string): Promise<boolean> {
  return (await readFile("/proc/net/dev", "utf8")).includes(`\n${device}:`);
}

/** Both ends go. Idempotent. */
export async function removeHostLink(nodeNetns: string): Promise<void> {
  const device = hostLinkName(nodeNetns);
  if (await exists(device)) await tryIp(["link", "delete", device]);
}

export function unreachable(why: unknown): string {
  return `this machine cannot reach the pods by their addresses: ${messageOf(why)}`;
}
