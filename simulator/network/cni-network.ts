/**
 * The node's network: one network namespace per node with a bridge, one per pod with `eth0`. It is
 * what a CNI plugin (bridge + host-local) does; the machine's own network namespace is never touched.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../../common/log.ts";
import { runCommand } from "../command.ts";
import { createAddressBook, macOf, parseCidr } from "./addresses.ts";
import { networkError } from "./errors.ts";
import type { NodeNetworkFacts, PodAttachment, PodIdentity, PodNetwork } from "./pod-network.ts";

export interface CniNetworkOptions {
  /** The instance's name on this machine: the node namespace is `katasim-<name>`. */
  readonly name: string;
  /** Folder for the address book. */
  readonly folder: string;
  /** Default 10.244.0.0/24. */
  readonly podCidr?: string;
  readonly log: Logger;
}

const defaultPodCidr = "10.244.0.0/24";
const netnsFolder = "/run/netns";
const bridge = "cbr0";
// 48 bits of a random id: enough to tell a node's pods apart, short enough to read in `ip netns`.
const idLength = 12;

export function createCniNetwork(options: CniNetworkOptions): PodNetwork {
  const { name, log } = options;
  const podCidr = options.podCidr ?? defaultPodCidr;
  const range = parseCidr(podCidr);
  const addresses = createAddressBook(options.folder, range);
  const nodeNetns = `katasim-${name}`;
  // A dot cannot occur in an instance name, so the pods of "a" are never taken for node "a-b".
  const podPrefix = `${nodeNetns}.`;
  const podNetns = (sandboxId: string) => `${podPrefix}${sandboxId.slice(0, idLength)}`;
  let nodeReady: Promise<NodeNetworkFacts> | undefined;

  async function makeNode(): Promise<NodeNetworkFacts> {
    const facts = { podCidr, limits: [] };
    if (process.getuid?.() !== 0) {
      throw networkError(
        "NETWORK_NEEDS_ROOT",
        "pod networks need root: network namespaces are made with ip netns",
        {
          hint: "Run katasim as root, for instance with sudo.",
        },
      );
    }
    const found = await runCommand("ip", [
      "-n",
      nodeNetns,
      "-o",
      "-4",
      "addr",
      "show",
      "dev",
      bridge,
    ]);
    if (found.ok && found.stdout.includes(range.gateway)) return facts;
    // Half-made or stale (the mount is gone after a reboot, the file may not be): start afresh.
    await runCommand("ip", ["netns", "delete", nodeNetns]);
    await rm(join(netnsFolder, nodeNetns), { force: true }).catch(() => undefined);
    await ip(["netns", "add", nodeNetns]);
    await ip(
      ["-n", nodeNetns, "-batch", "-"],
      [
        "link set lo up",
        `link add ${bridge} type bridge`,
        `addr add ${range.gateway}/${range.prefixLength} dev ${bridge}`,
        `link set ${bridge} up`,
      ],
    );
    log.debug({ netns: nodeNetns }, "node network made");
    return facts;
  }

  function ensureNode(): Promise<NodeNetworkFacts> {
    nodeReady ??= makeNode().catch((error: unknown) => {
      nodeReady = undefined;
      throw error;
    });
    return nodeReady;
  }

  async function attach({ sandboxId }: PodIdentity): Promise<PodAttachment> {
    await ensureNode();
    const netns = podNetns(sandboxId);
    await deleteNetns(netns);
    const address = await addresses.reserve(sandboxId);
    const mac = macOf(address);
    try {
      await ip(["netns", "add", netns]);
      const cable = `v${sandboxId.slice(0, idLength)}`;
      await ip(
        ["-n", nodeNetns, "-batch", "-"],
        [
          `link add ${cable} type veth peer name eth0 address ${mac} netns ${netns}`,
          `link set ${cable} master ${bridge} up`,
        ],
      );
      await ip(
        ["-n", netns, "-batch", "-"],
        [
          "link set lo up",
          `addr add ${address}/${range.prefixLength} dev eth0`,
          "link set eth0 up",
          `route add default via ${range.gateway}`,
        ],
      );
    } catch (error) {
      await detach(sandboxId);
      // The node's namespace may have been removed behind our back; look again next time.
      nodeReady = undefined;
      throw error;
    }
    return {
      netnsPath: join(netnsFolder, netns),
      ip: address,
    };
  }

  async function detach(sandboxId: string): Promise<void> {
    await deleteNetns(podNetns(sandboxId));
    await addresses.release(sandboxId);
  }

  async function sweep(keep: ReadonlySet<string>): Promise<readonly string[]> {
    const kept = new Set([...keep].map(podNetns));
    const removed: string[] = [];
    for (const netns of await readdir(netnsFolder).catch(() => [] as string[])) {
      if (!netns.startsWith(podPrefix) || kept.has(netns)) continue;
      await deleteNetns(netns);
      removed.push(netns);
    }
    for (const owner of (await addresses.owners()).keys()) {
      if (!keep.has(owner)) await addresses.release(owner);
    }
    return removed;
  }

  async function destroy(): Promise<void> {
    await sweep(new Set());
    await deleteNetns(nodeNetns);
    await rm(options.folder, { recursive: true, force: true });
    nodeReady = undefined;
  }

  return {
    nodeNetnsPath: join(netnsFolder, nodeNetns),
    ensureNode,
    attach,
    detach,
    sweep,
    destroy,
  };
}

/** Deleting the namespace deletes its veth and so the other end in the node: nothing else is left. */
async function deleteNetns(netns: string): Promise<void> {
  const names = await readdir(netnsFolder).catch(() => [] as string[]);
  if (!names.includes(netns)) return;
  const result = await runCommand("ip", ["netns", "delete", netns]);
  // `ip netns delete` refuses a name that is no mount any more, though the file is still there.
  if (!result.ok) await rm(join(netnsFolder, netns), { force: true }).catch(() => undefined);
}

async function ip(args: readonly string[], batch?: readonly string[]): Promise<void> {
  const result = await runCommand("ip", args, {
    timeoutMs: 10_000,
    ...(batch === undefined ? {} : { input: `${batch.join("\n")}\n` }),
  });
  if (result.ok) return;
  throw networkError("NETWORK_SETUP_FAILED", `ip ${args.join(" ")} failed: ${result.stderr}`, {
    hint: result.missing
      ? "Install the Debian package iproute2."
      : "The kernel must offer network namespaces, bridge and veth devices.",
  });
}
