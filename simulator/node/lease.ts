/** The node's heartbeat in kube-node-lease: component-helpers/apimachinery/lease/controller.go. */
import { type Clock, rfc3339Micro } from "../../common/clock.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { Lease } from "../../proto/kubernetes/gen/types.ts";
import { isConflict, isNotFound } from "../cluster/errors.ts";
import type { ClusterPort, ResourcePath } from "../cluster-port.ts";
import type { StoredMeta } from "../objects.ts";

// The kubelet's nodeLeaseDurationSeconds; renewed after a quarter of it.
const leaseDurationSeconds = 40;
const renewMs = 10_000;

type LeaseObject = Omit<Lease, "metadata"> & { metadata: Partial<StoredMeta> };

const path: ResourcePath = {
  groupVersion: "apis/coordination.k8s.io/v1",
  plural: "leases",
  namespace: "kube-node-lease",
};

export interface LeaseOptions {
  readonly cluster: ClusterPort;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeName: string;
  readonly nodeUid: string;
}

/** Resolves when `signal` aborts. A lost renewal is tried again with the next one. */
export async function keepLease(options: LeaseOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = options;
  let held: LeaseObject | undefined;
  while (!signal.aborted) {
    try {
      held = await renew(options, held);
    } catch (error) {
      log.warn({ error: messageOf(error) }, "the node lease was not renewed");
      held = undefined;
    }
    await clock.sleep(renewMs, signal).catch(() => {});
  }
}

async function renew(options: LeaseOptions, held: LeaseObject | undefined): Promise<LeaseObject> {
  const { cluster, clock, nodeName, nodeUid } = options;
  const spec = {
    holderIdentity: nodeName,
    leaseDurationSeconds,
    renewTime: rfc3339Micro(clock.nowMs()),
  };
  const present = held ?? (await cluster.get<LeaseObject>(path, nodeName));
  if (present !== undefined) {
    try {
      return await cluster.replace(path, nodeName, {
        ...present,
        spec: { ...present.spec, ...spec },
      });
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error;
      if (held !== undefined) return renew(options, undefined);
      throw error;
    }
  }
  return cluster.create<LeaseObject>(path, {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      name: nodeName,
      namespace: "kube-node-lease",
      ownerReferences: [{ apiVersion: "v1", kind: "Node", name: nodeName, uid: nodeUid }],
    },
    spec,
  });
}
