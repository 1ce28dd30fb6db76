/**
 * The node's own network namespace: what a VM of Azure has instead of this machine's. CNI's bridge
 * lies in it, so that the machine's bridges and firewall are never touched; hostNetwork pods join it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type AddressRange, macOf } from "./address-range.ts";
import { deleteNetns, ip, netnsFolder, tryIp } from "./ip.ts";

export const nodeBridge = "cbr0";

export interface NodeNetnsOptions {
  readonly name: string;
  /** The node's InternalIP: hostNetwork pods are reached by it. */
  readonly nodeIp: string;
  /** The pods' range; absent when a configuration of the user's makes the pods' network elsewhere. */
  readonly range: AddressRange | undefined;
}

export async function ensureNodeNetns({ name, nodeIp, range }: NodeNetnsOptions): Promise<void> {
  const wanted = [`${nodeIp}/32`, ...(range ? [`${range.gateway}/${range.prefixLength}`] : [])];
  if (existsSync(join(netnsFolder, name))) {
    const present = await tryIp(["-n", name, "-o", "-4", "addr", "show"]);
    if (present.ok && wanted.every((address) => present.stdout.includes(` ${address} `))) return;
    // Half-made or stale (the mount is gone, the file is not): start afresh.
    await deleteNetns(name);
  }
  await ip(["netns", "add", name]);
  await ip(
    ["-n", name, "-batch", "-"],
    [
      "link set lo up",
      `addr add ${nodeIp}/32 dev lo`,
      ...(range === undefined
        ? []
        : [
            // A MAC of its own, or the bridge would change it with every pod.
            `link add ${nodeBridge} address ${macOf(range.gateway)} type bridge`,
            `addr add ${range.gateway}/${range.prefixLength} brd + dev ${nodeBridge}`,
            `link set ${nodeBridge} up`,
          ]),
    ],
  );
}
