/**
 * CONTRACT: what the kubelet endpoints must know of the pods on this node. The node agent implements
 * it over its own records; every look-up reads the present state, nothing is cached here.
 */
import type { KubernetesObject } from "../cluster-port.ts";

export interface PodContainer {
  readonly name: string;
  /** The newest attempt's id; absent until it was created. */
  readonly containerId?: string;
  /** One CRI log file per attempt that is still kept, oldest first, newest last. */
  readonly logPaths: readonly string[];
  readonly running: boolean;
  /** The log of the last attempt that ended, when there is one before the newest. */
  readonly previousLogPath?: string;
  /** `state.waiting.reason` while there is nothing to read, e.g. "ContainerCreating". */
  readonly waitingReason?: string;
  readonly startedAtMs?: number;
}

export interface PodEntry {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** The newest sandbox; absent until it was made. */
  readonly sandboxId?: string;
  /** Init and ephemeral containers too. */
  readonly containers: readonly PodContainer[];
  /** The v1 Pod as `GET /pods` shows it. */
  readonly object?: KubernetesObject;
}

export interface PodDirectory {
  find(namespace: string, name: string): PodEntry | undefined;
  list(): readonly PodEntry[];
}
