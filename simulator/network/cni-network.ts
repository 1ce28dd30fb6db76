/**
 * The pod network that CNI plugins make, for trusted and sandboxed pods alike: katasim's own list runs
 * in the node's namespace; a list of the user's runs where katasim runs, as under containerd.
 */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Activity, createActivity } from "../../common/activity.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import {
  addAttachment,
  checkAttachment,
  deleteAttachment,
  podInterface,
} from "./cni/attachment.ts";
import { type KeptAttachment, openAttachmentFiles } from "./cni/attachment-files.ts";
import { hostPortCapability, pluginTypes } from "./cni/network-list.ts";
import { assertPlugins, type PluginHost } from "./cni/plugin.ts";
import { podAddresses } from "./cni/result.ts";
import { type CniNodeOptions, createCniNode } from "./cni-node.ts";
import { leasesIn } from "./cni-report.ts";
import { defaultNetworkName } from "./default-list.ts";
import { networkError } from "./errors.ts";
import { deleteNetns, makeNetns, netnsFolder } from "./ip.ts";
import { releaseLeases } from "./leases.ts";
import type { PodAttachment, PodIdentity, PodNetwork } from "./pod-network.ts";
import { createSpareAttachments } from "./spare-attachments.ts";

export interface CniNetworkOptions extends Omit<CniNodeOptions, "leases"> {
  /** For attachments and leases; gone after `destroy`. */
  readonly folder: string;
  /** Where plugins are looked for, in this order. */
  readonly binDirs: readonly string[];
  /** Of the node; default: one of its own. */
  readonly activity?: Activity;
  readonly log: Logger;
}

/** Every pod gets both. */
export interface CniAttachment extends PodAttachment {
  readonly netnsPath: string;
  readonly ip: string;
}

interface CniNetwork extends PodNetwork {
  attach(pod: PodIdentity): Promise<CniAttachment>;
}

// 48 bits of a random id: enough to tell a node's pods apart, short enough to read in `ip netns`.
const idLength = 12;

export function createCniNetwork(options: CniNetworkOptions): CniNetwork {
  const { folder, binDirs, log, activity = createActivity() } = options;
  const leases = leasesIn(folder);
  const node = createCniNode({ ...options, leases });
  const attachments = openAttachmentFiles(join(folder, "attachments"));
  // A dot cannot occur in an instance name, so the pods of "a" are never taken for node "a-b".
  const podPrefix = `${node.netns}.`;
  const podNetns = (sandboxId: string) => `${podPrefix}${sandboxId.slice(0, idLength)}`;

  function hostOf({ inNode }: Pick<KeptAttachment, "inNode">): PluginHost {
    // After a reboot there is no namespace to enter and nothing in it: the lease is all that is left.
    const enters = inNode && existsSync(node.netnsPath);
    return { binDirs, netnsPath: enters ? node.netnsPath : undefined };
  }

  async function attach(pod: PodIdentity): Promise<CniAttachment> {
    const { sandboxId } = pod;
    if ((await attachments.find(sandboxId)) !== undefined) await detach(sandboxId);
    return (await spares.take(pod)) ?? (await addPod(pod));
  }

  async function addPod(pod: PodIdentity): Promise<CniAttachment> {
    const { list, inNode } = await node.ready();
    const { sandboxId } = pod;
    await assertPlugins({ binDirs }, pluginTypes(list));
    const netns = podNetns(sandboxId);
    const attachment: KeptAttachment = {
      list,
      inNode,
      containerId: sandboxId,
      netnsPath: join(netnsFolder, netns),
      args: cniArguments(pod),
      capabilities: pod.hostPorts?.length ? { [hostPortCapability]: pod.hostPorts } : {},
    };
    await attachments.put(sandboxId, attachment);
    try {
      await makeNetns(netns);
      const result = await addAttachment(hostOf(attachment), attachment);
      await attachments.put(sandboxId, { ...attachment, result });
      const [ip] = podAddresses(result, podInterface);
      if (ip !== undefined) return { netnsPath: attachment.netnsPath, ip };
      throw networkError("CNI_PLUGIN_FAILED", "the plugins gave the pod no address", {
        hint: "The CNI configuration needs an ipam part.",
      });
    } catch (error) {
      node.doubt();
      await detach(sandboxId).catch((failure: unknown) =>
        log.warn(
          { sandbox: sandboxId, error: messageOf(failure) },
          "half-made network not removed",
        ),
      );
      throw error;
    }
  }

  async function detach(sandboxId: string): Promise<void> {
    const kept = await attachments.find(sandboxId);
    const netns = kept === undefined ? podNetns(sandboxId) : basename(kept.netnsPath);
    const stands = existsSync(join(netnsFolder, netns));
    if (kept !== undefined) {
      await deleteAttachment(hostOf(kept), {
        ...kept,
        netnsPath: stands ? kept.netnsPath : "",
      }).catch((error: unknown) => {
        throw networkError(
          "NETWORK_TEARDOWN_FAILED",
          `failed to destroy network for sandbox "${sandboxId}": ${messageOf(error)}`,
          { cause: error },
        );
      });
    }
    await deleteNetns(netns);
    await attachments.remove(sandboxId);
  }

  async function check(sandboxId: string): Promise<void> {
    const kept = await attachments.find(sandboxId);
    if (kept !== undefined) await checkAttachment(hostOf(kept), kept);
  }

  async function sweep(pods: ReadonlySet<string>): Promise<readonly string[]> {
    const keep = new Set([...pods, ...spares.ids()]);
    const removed = new Set<string>();
    const netnsKept = new Set<string>();
    const leased = new Set<string>();
    for (const id of await attachments.sandboxIds()) {
      const kept = await attachments.find(id);
      const netns = kept === undefined ? podNetns(id) : basename(kept.netnsPath);
      if (keep.has(id)) {
        netnsKept.add(netns);
        leased.add(kept?.containerId ?? id);
        continue;
      }
      removed.add(netns);
      await detach(id).catch((error: unknown) => log.warn({ sandbox: id }, messageOf(error)));
    }
    for (const id of keep) netnsKept.add(podNetns(id));
    for (const netns of await readdir(netnsFolder).catch(() => [] as string[])) {
      if (!netns.startsWith(podPrefix) || netnsKept.has(netns)) continue;
      removed.add(netns);
      await deleteNetns(netns);
    }
    await releaseLeases(join(leases, defaultNetworkName), new Set([...keep, ...leased]));
    return [...removed];
  }

  const spares = createSpareAttachments({
    ...{ log, activity },
    add: addPod,
    detach,
    async adopt(spareId, sandboxId) {
      await attachments.rename(spareId, sandboxId);
    },
    // A list of the user's may do something for each pod by its name.
    suits: async ({ hostPorts }) => (await node.ready()).inNode && !hostPorts?.length,
  });

  return {
    nodeNetnsPath: node.netnsPath,
    ensureNode: async () => (await node.ready()).facts,
    attach,
    detach,
    check,
    sweep,
    close: () => spares.close(),
    async destroy() {
      await spares.close();
      await sweep(new Set());
      await node.destroy();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The arguments containerd gives (internal/cri/server/sandbox_run.go toCNILabels). */
function cniArguments({ sandboxId, podNamespace, podName, podUid }: PodIdentity): string {
  return [
    "IgnoreUnknown=1",
    `K8S_POD_NAMESPACE=${podNamespace}`,
    `K8S_POD_NAME=${podName}`,
    `K8S_POD_INFRA_CONTAINER_ID=${sandboxId}`,
    `K8S_POD_UID=${podUid}`,
  ].join(";");
}
