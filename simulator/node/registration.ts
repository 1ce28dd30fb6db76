/**
 * Registers the node and keeps its status fresh: kubelet kubelet_node_status.go. A Node that exists
 * keeps what others put on it; the agent's own labels, annotations and status are brought up to date.
 */
import { isDeepStrictEqual } from "node:util";
import { type Clock, rfc3339 } from "../../common/clock.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { NodeCondition, NodeStatus } from "../../proto/kubernetes/gen/types.ts";
import { isConflict, isNotFound } from "../cluster/errors.ts";
import type { ClusterPort, KubernetesObject } from "../cluster-port.ts";
import type { EventRecorder } from "../events/recorder.ts";
import { nodeReference } from "../events/references.ts";
import { type NodeObject, nodesPath } from "../objects.ts";
import type { HandlerStatus } from "../runtime-port.ts";
import { nodeConditions } from "./conditions.ts";
import { readHostPressure } from "./host-facts.ts";
import {
  kataConfigurationAnnotation,
  type NodeIdentity,
  nodeAnnotations,
  nodeLabels,
  nodeObject,
  nodeStatus,
} from "./node-object.ts";

export interface NodeReporterOptions {
  readonly cluster: ClusterPort;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  /** Its disk is the node's disk. */
  readonly stateFolder: string;
  readonly nodeName: string;
  identity(): NodeIdentity;
  refreshHandlers(): Promise<readonly HandlerStatus[]>;
}

export interface NodeReporter {
  /** Makes or takes over the Node and posts its first status; tries until it works. */
  register(signal: AbortSignal): Promise<NodeObject>;
  /** Posts the status when it changed, and at the latest every five minutes. */
  keepReporting(signal: AbortSignal): Promise<void>;
}

// The kubelet's nodeStatusUpdateFrequency and nodeStatusReportFrequency.
const checkMs = 10_000;
const reportMs = 300_000;
const firstRetryMs = 100;
const maxRetryMs = 7_000;

export function createNodeReporter(options: NodeReporterOptions): NodeReporter {
  const { cluster, clock, log, events, nodeName } = options;
  let reported: NodeStatus | undefined;
  let reportedAtMs = 0;

  const take = async (): Promise<NodeObject> => {
    const identity = options.identity();
    const wanted = nodeObject(identity);
    try {
      return (await cluster.create<KubernetesObject>(nodesPath, wanted)) as NodeObject;
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
    // An earlier life's word on Kata must not stay.
    const annotations = { [kataConfigurationAnnotation]: null, ...nodeAnnotations(identity) };
    return cluster.patch<NodeObject>(
      nodesPath,
      nodeName,
      { metadata: { labels: nodeLabels(identity), annotations } },
      { type: "application/merge-patch+json" },
    );
  };

  const post = async (present: readonly NodeCondition[] | undefined) => {
    const identity = options.identity();
    const pressure = await readHostPressure(options.stateFolder);
    const conditions = withTimes(
      nodeConditions(pressure, identity.handlers),
      reported?.conditions ?? present,
      rfc3339(clock.nowMs()),
    );
    const status: NodeStatus = { ...nodeStatus(identity), conditions };
    const due = clock.nowMs() - reportedAtMs >= reportMs;
    if (!due && isDeepStrictEqual(withoutHeartbeats(status), withoutHeartbeats(reported))) return;
    await cluster.patch(
      nodesPath,
      nodeName,
      {
        status: {
          ...status,
          "$setElementOrder/conditions": conditions.map(({ type }) => ({ type })),
        },
      },
      { type: "application/strategic-merge-patch+json", subresource: "status" },
    );
    sayChanges(reported?.conditions, conditions);
    reported = status;
    reportedAtMs = clock.nowMs();
  };

  const sayChanges = (
    before: readonly NodeCondition[] | undefined,
    after: readonly NodeCondition[],
  ) => {
    for (const { type, status, reason = "" } of after) {
      if (before?.find((each) => each.type === type)?.status === status) continue;
      const word =
        type === "Ready" ? (status === "True" ? "NodeReady" : "NodeNotReady") : nodeWords[reason];
      if (word === undefined) continue;
      events.record(nodeReference(nodeName), {
        type: "Normal",
        reason: word,
        message: `Node ${nodeName} status is now: ${word}`,
      });
    }
  };

  return {
    async register(signal) {
      let retryMs = firstRetryMs;
      for (;;) {
        signal.throwIfAborted();
        try {
          const node = await take();
          await post(node.status?.conditions);
          return node;
        } catch (error) {
          log.warn({ error: messageOf(error), retryMs }, "the node could not be registered");
          await clock.sleep(retryMs, signal);
          retryMs = Math.min(retryMs * 2, maxRetryMs);
        }
      }
    },
    async keepReporting(signal) {
      while (!signal.aborted) {
        await clock.sleep(checkMs, signal).catch(() => {});
        if (signal.aborted) return;
        try {
          // Asking runs the shims' programs: not with every look.
          if (clock.nowMs() - reportedAtMs >= reportMs) await options.refreshHandlers();
          await post(undefined);
        } catch (error) {
          log.warn({ error: messageOf(error) }, "the node's status was not taken");
          // Someone deleted the Node: it comes back, as with a restarted kubelet.
          if (isNotFound(error)) {
            reported = undefined;
            await take().catch(() => {});
          }
        }
      }
    },
  };
}

/** A transition time moves with the status only; a heartbeat always. */
function withTimes(
  conditions: ReturnType<typeof nodeConditions>,
  before: readonly NodeCondition[] | undefined,
  now: string,
): NodeCondition[] {
  return conditions.map((condition) => {
    const old = before?.find(({ type }) => type === condition.type);
    const lastTransitionTime =
      old?.status === condition.status ? (old.lastTransitionTime ?? now) : now;
    return { ...condition, lastHeartbeatTime: now, lastTransitionTime };
  });
}

function withoutHeartbeats(status: NodeStatus | undefined): unknown {
  return {
    ...status,
    conditions: status?.conditions?.map(({ lastHeartbeatTime: _, ...rest }) => rest),
  };
}

/** kubelet_node_status.go setNodeMemoryPressureCondition and its siblings. */
const nodeWords: Readonly<Record<string, string>> = {
  KubeletHasSufficientMemory: "NodeHasSufficientMemory",
  KubeletHasInsufficientMemory: "NodeHasInsufficientMemory",
  KubeletHasNoDiskPressure: "NodeHasNoDiskPressure",
  KubeletHasDiskPressure: "NodeHasDiskPressure",
  KubeletHasSufficientPID: "NodeHasSufficientPID",
  KubeletHasInsufficientPID: "NodeHasInsufficientPID",
};
