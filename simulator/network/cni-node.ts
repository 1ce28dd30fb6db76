/**
 * The node's half of a CNI network, made once: its namespace, the pods' range and the cable to the host
 * for katasim's own configuration; only the namespace for a configuration of the user's.
 */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isSimError } from "../../common/errors.ts";
import { writeFileAtomic } from "../../common/files/atomic-write.ts";
import type { AddressRange } from "./address-range.ts";
import { loadNetworkList, type NetworkList, opensHostPorts } from "./cni/network-list.ts";
import { defaultNetworkList } from "./default-list.ts";
import { networkError } from "./errors.ts";
import { ensureHostLink, hostLinkName, removeHostLink, unreachable } from "./host-link.ts";
import { deleteNetns, ip, netnsFolder } from "./ip.ts";
import { ensureNodeNetns } from "./node-netns.ts";
import { chooseRange, describeRoute, type Route, readRememberedRange } from "./pod-cidr.ts";
import type { NodeNetworkFacts } from "./pod-network.ts";

export interface CniNodeOptions {
  /** The instance's name on this machine: the node namespace is `katasim-<name>`. */
  readonly name: string;
  /** Remembers the pods' range for as long as the Node object lives, which names it. */
  readonly rangeFile: string;
  /** host-local's reservations. */
  readonly leases: string;
  /** The node's InternalIP. */
  readonly nodeIp: string;
  /** Default: the first free one. */
  readonly podCidr?: string | undefined;
  /** A configuration of the user's. Default: katasim's own. */
  readonly configFile?: string | undefined;
}

/** The node as it stands: what pods are attached by. */
export interface ReadyNode {
  readonly list: NetworkList;
  /** The plugins run in the node's namespace, else in katasim's own. */
  readonly inNode: boolean;
  readonly facts: NodeNetworkFacts;
}

export interface CniNode {
  readonly netns: string;
  readonly netnsPath: string;
  ready(): Promise<ReadyNode>;
  /** Someone may have removed it behind our back: the next `ready` looks again. */
  doubt(): void;
  destroy(): Promise<void>;
}

// Others may take a range between our look and our claim; more often than this, something is wrong.
const rangeAttempts = 8;

export function createCniNode(options: CniNodeOptions): CniNode {
  const { nodeIp, configFile } = options;
  const netns = `katasim-${options.name}`;
  let made: Promise<ReadyNode> | undefined;

  async function make(): Promise<ReadyNode> {
    if (process.getuid?.() !== 0) {
      throw networkError("NETWORK_NEEDS_ROOT", "the pod network of CNI plugins needs root", {
        hint: "Run katasim as root, for instance with sudo.",
      });
    }
    if (configFile === undefined) return makeOwn();
    const list = await loadNetworkList(configFile);
    await ensureNodeNetns({ name: netns, nodeIp, range: undefined });
    return { list, inNode: false, facts: { hostPorts: opensHostPorts(list), limits: [] } };
  }

  async function makeOwn(): Promise<ReadyNode> {
    for (let attempt = 1; ; attempt++) {
      const { range, conflict } = chooseRange({
        remembered: await readRememberedRange(options.rangeFile),
        wanted: options.podCidr,
        routes: await machineRoutes(),
      });
      await ensureNodeNetns({ name: netns, nodeIp, range });
      const limits: string[] = [];
      if (conflict === undefined) {
        const failure = await linkFailure(range);
        const raced = isSimError(failure) && failure.code === "POD_CIDR_TAKEN";
        if (raced && attempt < rangeAttempts) continue;
        if (failure !== undefined) limits.push(unreachable(failure));
      } else {
        limits.push(unreachable(`the route ${describeRoute(conflict)} covers ${range.cidr}`));
      }
      await mkdir(dirname(options.rangeFile), { recursive: true, mode: 0o700 });
      writeFileAtomic(options.rangeFile, `${range.cidr}\n`);
      const facts = { podCidr: range.cidr, hostPorts: false, limits };
      return { list: defaultNetworkList(range, options.leases), inNode: true, facts };
    }
  }

  /** Pods reach each other without the cable: its failure is told, and no reason to stop. */
  async function linkFailure(range: AddressRange): Promise<unknown> {
    try {
      await ensureHostLink(netns, range);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** All of the machine's routes but our own cable's. */
  async function machineRoutes(): Promise<readonly Route[]> {
    const text = await ip(["-j", "-4", "route", "show", "table", "all"]);
    const routes = JSON.parse(text || "[]") as readonly Route[];
    return routes.filter(({ dev }) => dev !== hostLinkName(netns));
  }

  return {
    netns,
    netnsPath: join(netnsFolder, netns),
    ready() {
      made ??= make().catch((error: unknown) => {
        made = undefined;
        throw error;
      });
      return made;
    },
    doubt() {
      made = undefined;
    },
    async destroy() {
      made = undefined;
      await removeHostLink(netns);
      await deleteNetns(netns);
    },
  };
}
