/**
 * The composition root: from settings to a running node. Parts start in the order they are written here
 * and stop in exactly the reverse; each is made by its layer's factory and knows nothing of the others.
 */
import { rename, writeFile } from "node:fs/promises";
import { type ApiServer, createApiServer } from "../api/index.ts";
import { type Activity, createActivity } from "../common/activity.ts";
import { systemClock } from "../common/clock.ts";
import type { Logger } from "../common/log.ts";
import type { Paths } from "../common/paths.ts";
import { createHttpsCluster, type HttpsCluster } from "../simulator/cluster/https-cluster.ts";
import { createDockerRuntime } from "../simulator/docker/index.ts";
import { createImageService, defaultAliases, type NodeImages } from "../simulator/images/index.ts";
import { createNodeAgent } from "../simulator/index.ts";
import {
  createCniNetwork,
  createUserNetwork,
  type NodeNetworkFacts,
  type PodNetwork,
} from "../simulator/network/index.ts";
import { createNodeApi } from "../simulator/node-api/server.ts";
import { createHostMemory, readMeminfo } from "../simulator/pods/host-memory.ts";
import {
  type ContainerRuntimeOptions,
  createContainerRuntime,
  type SpareCounts,
} from "../simulator/runtime/index.ts";
import type { ContainerRuntime, HandlerStatus } from "../simulator/runtime-port.ts";
import { createNodeRuntime } from "../simulator/trusted-runtime.ts";
import { cniOptions } from "./cni-options.ts";
import { contextName } from "./commands/kubeconfig.ts";
import { handlersOf } from "./handlers.ts";
import { readImageConfig } from "./image-config.ts";
import { kubeconfigText } from "./kubeconfig/merge.ts";
import type { Progress } from "./output/progress.ts";
import { guestNetworks, type NodeSettings } from "./settings.ts";

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
  readonly network: NodeNetworkFacts;
  /** Asked for while the agent starts: nobody waits for it twice. */
  readonly handlers: Promise<readonly HandlerStatus[]>;
  /** The node is registered by this very agent and its pods are known. */
  readonly registered: Promise<void>;
  /** Rejects when a part dies by itself; never resolves. */
  readonly failed: Promise<never>;
  /** Stops every part in reverse; pods go on. Idempotent. */
  stop(): Promise<void>;
}

export interface NodeRuntime {
  readonly images: NodeImages;
  readonly network: PodNetwork;
  readonly runtime: ContainerRuntime;
  /** Of the warm pool; undefined where there is none. */
  spareCounts(): SpareCounts | undefined;
  close(): Promise<void>;
}

/** Images, network and container runtime without a cluster: what `down` and `runtime list` need, too. */
export async function openNodeRuntime(
  options: NodeOptions,
  spares?: ContainerRuntimeOptions["spares"],
): Promise<NodeRuntime> {
  const { paths, settings, log } = options;
  const { aliases, mirrors } = await readImageConfig(paths);
  const images = createImageService({
    paths,
    aliases: [...aliases, ...defaultAliases],
    mirrors,
    log: log.child({ component: "images" }),
  });
  const activity = createActivity();
  const network = openNodeNetwork(options, activity);
  const shims = createContainerRuntime({
    ...{ paths, activity },
    handlers: await handlersOf(paths, settings),
    images,
    network,
    hypervisor: settings.hypervisor,
    accel: settings.accel,
    require: settings.require,
    guestNetwork: guestNetworks[settings.network],
    egress: settings.egress,
    shimOptions: { templates: settings.templates === "on" },
    ...(spares === undefined ? {} : { spares }),
    log: log.child({ component: "runtime" }),
    clock: systemClock,
  });
  const docker = createDockerRuntime({
    paths,
    images,
    log: log.child({ component: "docker" }),
    clock: systemClock,
  });
  const runtime = createNodeRuntime({ shims, docker, wanted: settings.trustedRuntime });
  return {
    images,
    network,
    runtime,
    spareCounts: () => shims.spareCounts(),
    async close() {
      await runtime.close();
      await network.close();
      images.close();
    },
  };
}

// A waiting VM takes some 100 MiB, and what a pod does in it more.
const memoryForPoolMib = 4_096;
const mostInPool = 2;

/** By itself a node keeps a few VMs, once it has seen what pods want; told to, it does from the start. */
async function sparesFor({ warmPool, network }: NodeSettings) {
  const { availableMib } = await readMeminfo();
  const affordable = Math.min(mostInPool, Math.floor(availableMib / memoryForPoolMib) - 1);
  const chosen = warmPool === "auto" ? Math.max(0, affordable) : warmPool;
  // A network that QEMU plays is part of the VM from its start.
  const pool = network === "cni" ? chosen : 0;
  return { pool, bare: 1, filled: warmPool !== "auto" && pool > 0 };
}

export function openNodeNetwork(
  { paths, settings, log }: NodeOptions,
  activity?: Activity,
): PodNetwork {
  const common = cniOptions(paths, settings);
  if (settings.network === "user") return createUserNetwork({ ...common, egress: settings.egress });
  return createCniNetwork({
    ...common,
    ...(activity === undefined ? {} : { activity }),
    log: log.child({ component: "network" }),
  });
}

export async function startNode(
  options: NodeOptions & { readonly progress: Progress },
): Promise<RunningNode> {
  const { paths, settings, log, progress } = options;
  const stops: Array<() => Promise<void> | void> = [];
  const stop = async () => {
    // Each stop runs although another failed: the first error is the one to tell.
    const errors: unknown[] = [];
    for (let next = stops.pop(); next !== undefined; next = stops.pop()) {
      await Promise.resolve(next()).catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  };
  try {
    progress.step("api", "Starting the Kubernetes API");
    const api = await createApiServer({
      paths,
      host: settings.listen,
      port: settings.apiPort,
      nodeName: settings.nodeName,
      log: log.child({ component: "api" }),
      clock: systemClock,
    });
    stops.push(() => api.close());
    const { credentials } = api;
    await writeAdminKubeconfig(paths, api);

    const cluster = createHttpsCluster({
      server: api.url,
      caPem: credentials.caPem,
      certPem: credentials.node.certPem,
      keyPem: credentials.node.keyPem,
      log: log.child({ component: "cluster" }),
      clock: systemClock,
    });
    stops.push(() => cluster.close());

    progress.step("runtime", "Finding runtimes and running pods");
    const { images, network, runtime, spareCounts, close } = await openNodeRuntime(
      options,
      await sparesFor(settings),
    );
    stops.push(close);
    const networkFacts = await network.ensureNode();
    await runtime.recover();

    const handlers = runtime.handlers();
    handlers.catch(() => {});

    progress.step("agent", "Starting the node agent");
    const agent = createNodeAgent({
      cluster,
      runtime,
      images,
      paths,
      nodeName: settings.nodeName,
      vmSize: settings.vmSize,
      podCidr: networkFacts.podCidr,
      hostPorts: networkFacts.hostPorts,
      parallelStarts: unlessAuto(settings.parallelStarts),
      memory: createHostMemory({ reserveMib: unlessAuto(settings.memoryReserve) }),
      log: log.child({ component: "agent" }),
      clock: systemClock,
    });
    const nodeApi = await createNodeApi({
      host: settings.listen,
      port: settings.kubeletPort,
      tls: {
        ca: credentials.caPem,
        cert: credentials.kubeletServing.certPem,
        key: credentials.kubeletServing.keyPem,
      },
      pods: agent.pods,
      facts: async () => ({ ...(await agent.facts()), pool: spareCounts() }),
      runtime,
      nodeName: settings.nodeName,
      log: log.child({ component: "node-api" }),
      clock: systemClock,
    });
    stops.push(() => nodeApi.close());

    const stopping = new AbortController();
    const running = agent.run(stopping.signal, { kubeletPort: nodeApi.port });
    stops.push(async () => {
      stopping.abort();
      await running.catch(() => {});
    });
    return {
      server: api.url,
      cluster,
      network: networkFacts,
      handlers,
      registered: agent.ready,
      failed: never(running),
      stop,
    };
  } catch (error) {
    await stop().catch((stopError: unknown) => log.error({ err: stopError }, "stopping failed"));
    throw error;
  }
}

async function writeAdminKubeconfig(paths: Paths, api: ApiServer): Promise<void> {
  const base64 = (pem: string) => Buffer.from(pem).toString("base64");
  const text = kubeconfigText({
    name: contextName(paths.name),
    server: api.url,
    certificateAuthorityData: base64(api.credentials.caPem),
    clientCertificateData: base64(api.credentials.admin.certPem),
    clientKeyData: base64(api.credentials.admin.keyPem),
  });
  await writeFile(`${paths.adminKubeconfig}.new`, text, { mode: 0o600 });
  await rename(`${paths.adminKubeconfig}.new`, paths.adminKubeconfig);
}

function unlessAuto(value: number | "auto"): number | undefined {
  return value === "auto" ? undefined : value;
}

/** A part that ends is only news when it ends by failing. */
function never(running: Promise<void>): Promise<never> {
  const failed = new Promise<never>((_, reject) => running.catch(reject));
  failed.catch(() => {});
  return failed;
}
