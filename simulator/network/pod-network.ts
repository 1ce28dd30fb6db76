/**
 * The contract of the node's pod network: what gives a sandbox its network namespace and addresses.
 * One implementation for each value of `--network`.
 */
import type { HostPort } from "../runtime-port.ts";

/** What a network may know of the pod it serves: CNI's K8S_POD_* arguments are made from it. */
export interface PodIdentity {
  readonly sandboxId: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly podUid: string;
  readonly hostPorts?: readonly HostPort[] | undefined;
  /** Its VM can play a network of its own, and then needs no namespace. */
  readonly playsNetwork?: boolean;
}

export interface PodAttachment {
  /** Absent when the pod's VM plays its network itself. */
  readonly netnsPath?: string;
  /** The pod's address: status.podIP; absent when it has none. */
  readonly ip?: string;
  /** The guest's own address with the prefix length, for a VM that plays its network. */
  readonly guestAddress?: string;
  /** What the pod cannot do on this network, in a sentence: an event of the pod. */
  readonly limit?: string;
}

/** What the node's network is, for the Node object and for the person at the terminal. */
export interface NodeNetworkFacts {
  /** Absent when katasim does not choose the pods' addresses. */
  readonly podCidr?: string;
  /** Whether hostPorts are opened. */
  readonly hostPorts: boolean;
  /** What this network cannot do here, a sentence each: said aloud by `up`. */
  readonly limits: readonly string[];
}

export interface PodNetwork {
  /** The network namespace of the node itself: hostNetwork pods join it. */
  readonly nodeNetnsPath: string;
  /** Makes what the node needs when it is missing. */
  ensureNode(): Promise<NodeNetworkFacts>;
  /** Makes the pod's namespace and cable; a repeated call for the same sandbox starts afresh. */
  attach(pod: PodIdentity): Promise<PodAttachment>;
  /** Succeeds when nothing is left to remove. */
  detach(sandboxId: string): Promise<void>;
  /** Rejects when the pod's network no longer stands as it was made. */
  check(sandboxId: string): Promise<void>;
  /** Removes what belongs to sandboxes that are not in `keep`; answers what it removed. */
  sweep(keep: ReadonlySet<string>): Promise<readonly string[]>;
  /** Takes down what waits for pods; theirs goes on. Idempotent. */
  close(): Promise<void>;
  /** Removes everything of this node. */
  destroy(): Promise<void>;
}
