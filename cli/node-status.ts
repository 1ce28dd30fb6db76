/** What the cluster says of its node: read over HTTPS with the admin's credentials, as kubectl would. */
import { systemClock } from "../common/clock.ts";
import { messageOf } from "../common/errors.ts";
import { silentLogger } from "../common/log.ts";
import { createHttpsCluster, type HttpsCluster } from "../simulator/cluster/https-cluster.ts";
import type { KubernetesObject } from "../simulator/cluster-port.ts";
import { readAdminEntry } from "./commands/kubeconfig.ts";
import type { CommandContext } from "./context.ts";
import { cliError } from "./errors.ts";
import type { ClusterEntry } from "./kubeconfig/merge.ts";

export interface NodeView {
  readonly name: string;
  readonly ready: boolean;
  /** The Ready condition's own words. */
  readonly message: string;
  readonly kubeletVersion: string;
  readonly kubeletPort: number | undefined;
}

export interface ClusterView {
  readonly server: string;
  readonly nodes: readonly NodeView[];
  readonly pods: ReadonlyArray<{ readonly phase: string }>;
}

type NodeJson = KubernetesObject & {
  readonly status?: {
    readonly conditions?: ReadonlyArray<{ type: string; status: string; message?: string }>;
    readonly nodeInfo?: { readonly kubeletVersion?: string };
    readonly daemonEndpoints?: { readonly kubeletEndpoint?: { readonly Port?: number } };
  };
};
type PodJson = KubernetesObject & { readonly status?: { readonly phase?: string } };

const nodes = { groupVersion: "api/v1", plural: "nodes" };
const pods = { groupVersion: "api/v1", plural: "pods" };
/** A Ready node is asked for often enough that `up` ends within a blink of it. */
const pollMs = 40;

export function clusterFromEntry(entry: ClusterEntry): HttpsCluster {
  const pem = (data: string) => Buffer.from(data, "base64").toString("utf8");
  return createHttpsCluster({
    server: entry.server,
    caPem: pem(entry.certificateAuthorityData),
    certPem: pem(entry.clientCertificateData),
    keyPem: pem(entry.clientKeyData),
    clock: systemClock,
    log: silentLogger,
  });
}

/** Throws API_UNREACHABLE. */
export async function readCluster(entry: ClusterEntry): Promise<ClusterView> {
  const cluster = clusterFromEntry(entry);
  try {
    const [nodeList, podList] = await Promise.all([
      cluster.list<NodeJson>(nodes),
      cluster.list<PodJson>(pods),
    ]);
    return {
      server: entry.server,
      nodes: nodeList.map(viewNode),
      pods: podList.map((pod) => ({ phase: pod.status?.phase ?? "Unknown" })),
    };
  } catch (error) {
    throw cliError("API_UNREACHABLE", `the API at ${entry.server} does not answer`, {
      cause: error,
      hint: "katasim logs --component api",
    });
  } finally {
    cluster.close();
  }
}

/** Resolves when `nodeName` is Ready; throws TIMED_OUT with the node's own words. */
export async function waitForNode(
  cluster: Pick<HttpsCluster, "get">,
  options: {
    readonly nodeName: string;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  const deadlineMs = systemClock.nowMs() + options.timeoutMs;
  let last = "it has not registered";
  for (;;) {
    try {
      const node = await cluster.get<NodeJson>(nodes, options.nodeName);
      if (node !== undefined) {
        const view = viewNode(node);
        if (view.ready) return;
        last = view.message;
      }
    } catch (error) {
      last = messageOf(error);
    }
    if (systemClock.nowMs() >= deadlineMs) {
      throw cliError("TIMED_OUT", `node ${options.nodeName} did not become Ready in time`, {
        cause: new Error(last),
        hint: "katasim status; katasim logs --component agent",
      });
    }
    await systemClock.sleep(pollMs, options.signal);
  }
}

/** The same for an instance that another process runs, or is just starting. */
export async function waitForInstance(
  context: Pick<CommandContext, "paths" | "self">,
  nodeName: string,
  timeoutMs: number,
): Promise<ClusterEntry> {
  const deadlineMs = systemClock.nowMs() + timeoutMs;
  let entry: ClusterEntry | undefined;
  while (entry === undefined) {
    try {
      entry = await readAdminEntry(context);
    } catch (error) {
      if (systemClock.nowMs() >= deadlineMs) throw error;
      await systemClock.sleep(pollMs);
    }
  }
  const cluster = clusterFromEntry(entry);
  try {
    await waitForNode(cluster, { nodeName, timeoutMs: deadlineMs - systemClock.nowMs() });
    return entry;
  } finally {
    cluster.close();
  }
}

function viewNode(node: NodeJson): NodeView {
  const ready = node.status?.conditions?.find(({ type }) => type === "Ready");
  return {
    name: node.metadata.name ?? "",
    ready: ready?.status === "True",
    message: ready?.message ?? "it has no Ready condition yet",
    kubeletVersion: node.status?.nodeInfo?.kubeletVersion ?? "",
    kubeletPort: node.status?.daemonEndpoints?.kubeletEndpoint?.Port,
  };
}
