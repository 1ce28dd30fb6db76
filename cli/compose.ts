/**
 * The composition root: from settings to a running node. Parts start in the order they are written here
 * and stop in exactly the reverse; each is made by its layer's factory and knows nothing of the others.
 */
import { writeFile } from "node:fs/promises";
import { createApiServer, openCertificates } from "../api/index.ts";
import { systemClock } from "../common/clock.ts";
import type { Logger } from "../common/log.ts";
import type { Paths } from "../common/paths.ts";
import { createHttpsCluster, type HttpsCluster } from "../simulator/cluster/https-cluster.ts";
import { createImageService, defaultAliases, type NodeImages } from "../simulator/images/index.ts";
import { createNodeAgent } from "../simulator/index.ts";
import { createPodNetwork, type PodNetwork } from "../simulator/network/index.ts";
import { createNodeApi } from "../simulator/node-api/server.ts";
import { createContainerRuntime } from "../simulator/runtime/index.ts";
import type { ContainerRuntime } from "../simulator/runtime-port.ts";
import { contextName } from "./commands/kubeconfig.ts";
import { readImageConfig } from "./image-config.ts";
import { kubeconfigText } from "./kubeconfig/merge.ts";
import type { Progress } from "./output/progress.ts";
import type { NodeSettings } from "./settings.ts";

export interface NodeOptions {
  readonly paths: Paths;
  readonly settings: NodeSettings;
  readonly log: Logger;
}

export interface RunningNode {
  /** https://127.0.0.1:6443 */
  readonly server: string;
  /** With the node's own credentials. */
  readonly cluster: HttpsCluster;
  readonly runtime: ContainerRuntime;
  /** Rejects when a part dies by itself; never resolves. */
  readonly failed: Promise<never>;
  /** Stops every part in reverse; pods go on. Idempotent. */
  stop(): Promise<void>;
}

export interface NodeRuntime {
  readonly images: NodeImages;
  readonly network: PodNetwork;
  readonly runtime: ContainerRuntime;
  close(): Promise<void>;
}

/** Images, network and container runtime without a cluster: what `down` and `runtime list` need, too. */
export async function openNodeRuntime(options: NodeOptions): Promise<NodeRuntime> {
  const { paths, settings, log } = options;
  const { aliases, mirrors } = await readImageConfig(paths);
  const images = createImageService({
    paths,
    aliases: [...aliases, ...defaultAliases],
    mirrors,
    log: log.child({ component: "images" }),
  });
  const network = openNodeNetwork(paths, log);
  const runtime = createContainerRuntime({
    paths,
    images,
    network,
    hypervisor: settings.hypervisor,
    accel: settings.accel,
    log: log.child({ component: "runtime" }),
    clock: systemClock,
  });
  return {
    images,
    network,
    runtime,
    async close() {
      await runtime.close();
      images.close();
    },
  };
}

export function openNodeNetwork(paths: Paths, log: Logger): PodNetwork {
  return createPodNetwork({
    name: paths.name,
    folder: join(paths.run, "network"),
    log: log.child({ component: "network" }),
  });
}

export async function startNode(
  options: NodeOptions & { readonly progress: Progress },
): Promise<RunningNode> {
  return {} as RunningNode;
}
