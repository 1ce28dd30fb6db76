/**
 * The network of a node without root, or with `--network user`: each VM plays one for its own guest, and
 * what it is called there is all this file decides. A pod on the shared kernel has its loopback.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../../common/files/atomic-write.ts";
import { type AddressBook, createAddressBook } from "./address-book.ts";
import type { AddressRange } from "./address-range.ts";
import { deleteNetns, makeNetns, netnsFolder } from "./ip.ts";
import { ensureNodeNetns } from "./node-netns.ts";
import { chooseRange, readRememberedRange } from "./pod-cidr.ts";
import type { PodAttachment, PodIdentity, PodNetwork } from "./pod-network.ts";

export interface UserNetworkOptions {
  /** The instance's name on this machine: its namespaces begin with `katasim-<name>`. */
  readonly name: string;
  /** Folder for the address book. */
  readonly folder: string;
  /** Remembers the range: a Node's podCIDR cannot change. */
  readonly rangeFile: string;
  readonly nodeIp: string;
  /** Default: the first of 10.244.N.0/24. No route of the machine can be in its way. */
  readonly podCidr?: string | undefined;
  /** Whether guests get out, to all that this user reaches. */
  readonly egress: "none" | "open";
}

// As in `cni-network.ts`: the node may have had that network before.
const idLength = 12;

export function createUserNetwork(options: UserNetworkOptions): PodNetwork {
  const { egress, folder, rangeFile, nodeIp } = options;
  const nodeNetns = `katasim-${options.name}`;
  const podPrefix = `${nodeNetns}.`;
  const podNetns = (sandboxId: string) => `${podPrefix}${sandboxId.slice(0, idLength)}`;
  let known: Promise<{ range: AddressRange; addresses: AddressBook }> | undefined;

  async function readRange() {
    const remembered = await readRememberedRange(rangeFile);
    const { range } = chooseRange({ remembered, wanted: options.podCidr, routes: [] });
    // The last address is the name server's of each guest's network.
    return { range, addresses: createAddressBook(folder, range) };
  }
  function ready() {
    known ??= readRange().catch((error: unknown) => {
      known = undefined;
      throw error;
    });
    return known;
  }

  async function attach({ sandboxId, playsNetwork }: PodIdentity): Promise<PodAttachment> {
    if (!playsNetwork) {
      const netns = podNetns(sandboxId);
      await deleteNetns(netns);
      await ensureNode();
      await makeNetns(netns);
      return { netnsPath: join(netnsFolder, netns), limit: loopbackLimit };
    }
    const { range, addresses } = await ready();
    const ip = await addresses.reserve(sandboxId);
    return { ip, guestAddress: `${ip}/${range.prefixLength}`, limit: guestLimit(ip, egress) };
  }

  async function detach(sandboxId: string): Promise<void> {
    await deleteNetns(podNetns(sandboxId));
    await (await ready()).addresses.release(sandboxId);
  }

  async function sweep(keep: ReadonlySet<string>): Promise<readonly string[]> {
    const kept = new Set([...keep].map(podNetns));
    const removed: string[] = [];
    for (const netns of await readdir(netnsFolder).catch(() => [] as string[])) {
      if (!netns.startsWith(podPrefix) || kept.has(netns)) continue;
      await deleteNetns(netns);
      removed.push(netns);
    }
    const { addresses } = await ready();
    for (const owner of (await addresses.owners()).keys()) {
      if (!keep.has(owner)) await addresses.release(owner);
    }
    return removed;
  }

  async function ensureNode() {
    const { range } = await ready();
    await mkdir(dirname(rangeFile), { recursive: true, mode: 0o700 });
    writeFileAtomic(rangeFile, `${range.cidr}\n`);
    // Only pods on the shared kernel, which root alone can run, may ask for the node's own network.
    if (isRoot()) await ensureNodeNetns({ name: nodeNetns, nodeIp, range: undefined });
    return { podCidr: range.cidr, hostPorts: false, limits: nodeLimits(egress) };
  }

  return {
    nodeNetnsPath: join(netnsFolder, nodeNetns),
    ensureNode,
    attach,
    detach,
    // Neither a namespace's loopback nor what a VM plays can be lost.
    check: async () => undefined,
    sweep,
    close: async () => {},
    async destroy() {
      await sweep(new Set());
      await deleteNetns(nodeNetns);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const loopbackLimit =
  "user-mode networking gives a pod on the shared kernel its loopback and no address: kubectl port-forward reaches it, nothing else does";

function guestLimit(ip: string, egress: "none" | "open"): string {
  const out =
    egress === "open"
      ? "it gets out as the user who runs katasim, this machine's loopback included"
      : "it gets out nowhere";
  return `user-mode networking: ${ip} is known inside this pod's VM alone, kubectl port-forward is the only way in, and ${out}`;
}

function nodeLimits(egress: "none" | "open"): readonly string[] {
  const out =
    egress === "open"
      ? "they reach whatever this user reaches, this machine's loopback included"
      : "they reach nothing outside (--egress open lets them out)";
  return [
    `pods are on user-mode networks of their own: no pod and no program reaches their IPs, kubectl port-forward does; ${out}`,
  ];
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}
