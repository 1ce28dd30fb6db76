/**
 * Labels that tell our containers from others', and hold what a restarted node must know of them:
 * the engine is the store, so a container and its record are made in one act.
 */
import type { Paths } from "../../common/paths.ts";
import type { ContainerSpec, SandboxSpec } from "../runtime-port.ts";
import type { Labels } from "./engine.ts";

/** On everything an instance has in the engine: `docker ps -a --filter label=io.katasim.instance`. */
export const instanceLabel = "io.katasim.instance";
const kindLabel = "io.katasim.kind";
const sandboxLabel = "io.katasim.sandbox";
const specLabel = "io.katasim.spec";
/** On images: the digest in the node's store. */
export const imageLabel = "io.katasim.image";

/** What is needed of a sandbox after its start. */
export type KeptSandbox = Pick<
  SandboxSpec,
  | "podName"
  | "podNamespace"
  | "podUid"
  | "attempt"
  | "hostname"
  | "hostPid"
  | "hostIpc"
  | "shareProcessNamespace"
> & { readonly handler: string };

export type KeptContainer = Pick<
  ContainerSpec,
  "name" | "attempt" | "image" | "logPath" | "tty" | "stdin" | "stdinOnce"
> & { readonly stopSignal: number };

export function instanceLabels({ machineName }: Pick<Paths, "machineName">): Labels {
  return { [instanceLabel]: machineName };
}

export function sandboxLabels(paths: Pick<Paths, "machineName">, kept: KeptSandbox): Labels {
  return {
    ...instanceLabels(paths),
    [kindLabel]: "sandbox",
    [specLabel]: JSON.stringify(kept),
    ...podLabels(kept),
  };
}

export function containerLabels(
  paths: Pick<Paths, "machineName">,
  sandboxId: string,
  pod: KeptSandbox,
  kept: KeptContainer,
): Labels {
  return {
    ...instanceLabels(paths),
    [kindLabel]: "container",
    [sandboxLabel]: sandboxId,
    [specLabel]: JSON.stringify(kept),
    ...podLabels(pod),
    "io.kubernetes.container.name": kept.name,
  };
}

/** As the kubelet labels them (pkg/kubelet/types/labels.go), for people who look with docker. */
function podLabels({ podName, podNamespace, podUid }: KeptSandbox): Labels {
  return {
    "io.kubernetes.pod.name": podName,
    "io.kubernetes.pod.namespace": podNamespace,
    "io.kubernetes.pod.uid": podUid,
  };
}

export type Labelled =
  | { readonly kind: "sandbox"; readonly kept: KeptSandbox }
  | { readonly kind: "container"; readonly sandboxId: string; readonly kept: KeptContainer };

/** Undefined for a helper, or where somebody else wrote the labels. */
export function readLabels(labels: Labels): Labelled | undefined {
  const text = labels[specLabel];
  if (text === undefined) return undefined;
  try {
    const kept: unknown = JSON.parse(text);
    if (labels[kindLabel] === "sandbox") return { kind: "sandbox", kept: kept as KeptSandbox };
    const sandboxId = labels[sandboxLabel];
    if (labels[kindLabel] !== "container" || sandboxId === undefined) return undefined;
    return { kind: "container", sandboxId, kept: kept as KeptContainer };
  } catch {
    return undefined;
  }
}
