/**
 * The node agent: registers the node, keeps its heartbeat, and gives every pod bound to it its due.
 * It speaks to a cluster and to a container runtime through their ports and knows nothing else.
 */
import { createBackoff } from "../common/backoff.ts";
import type { Clock } from "../common/clock.ts";
import { messageOf } from "../common/errors.ts";
import type { Logger } from "../common/log.ts";
import type { Paths } from "../common/paths.ts";
import type { ClusterPort } from "./cluster-port.ts";
import { createEventRecorder } from "./events/recorder.ts";
import { type HostFacts, readHostFacts } from "./node/host-facts.ts";
import { keepLease } from "./node/lease.ts";
import { nodeInternalIp } from "./node/node-object.ts";
import { createNodeReporter } from "./node/registration.ts";
import { allocatableOf, capacityOf, findVmSize } from "./node/vm-sizes.ts";
import type { PodDirectory } from "./node-api/pod-directory.ts";
import { type PodObject, podsPath } from "./objects.ts";
import { createClusterData } from "./pods/cluster-data.ts";
import { createHostMemory, type HostMemory, type HostMemoryFacts } from "./pods/host-memory.ts";
import type { PodDependencies } from "./pods/pod-dependencies.ts";
import { createPodDirectory } from "./pods/pod-directory.ts";
import { podFolder } from "./pods/pod-files.ts";
import { createPodManager } from "./pods/pod-manager.ts";
import { createStartGates, type StartFacts } from "./pods/start-place.ts";
import type { ContainerRuntime, HandlerStatus, ImageService } from "./runtime-port.ts";
import { createPodVolumes } from "./volumes/index.ts";

export interface NodeAgentOptions {
  readonly cluster: ClusterPort;
  /** Recovered already. */
  readonly runtime: ContainerRuntime;
  readonly images: ImageService;
  readonly nodeName: string;
  /** Azure's name of the size, e.g. "Standard_D4s_v3". */
  readonly vmSize: string;
  /** The pods' address range, where the node chooses it. */
  readonly podCidr?: string | undefined;
  /** Whether the pods' network opens hostPorts. Default false. */
  readonly hostPorts?: boolean;
  readonly paths: Pick<Paths, "pods" | "podLogs" | "state">;
  readonly clock: Clock;
  readonly log: Logger;
  /** What is free on this machine; tests say it themselves. */
  readonly memory?: HostMemory;
  /** How many sandboxes start at a time, of VMs and of others each; default by the number of cores. */
  readonly parallelStarts?: number | undefined;
}

/** What the agent tells of itself beside what it tells the cluster. */
export interface AgentFacts {
  readonly starts: StartFacts;
  readonly memory: HostMemoryFacts;
}

export interface NodeAgent {
  /**
   * Works until `signal` aborts, then lets go of everything; pods keep running. Rejects only on a
   * bug or when `signal` aborts before the node is registered. `kubeletPort` is advertised.
   */
  run(signal: AbortSignal, options: { readonly kubeletPort: number }): Promise<void>;
  /** The Node is registered and its pods are known. */
  readonly ready: Promise<void>;
  /** For the kubelet endpoints. */
  readonly pods: PodDirectory;
  /** After `run`: ends every pod, within `graceMs`, and leaves no mount of theirs. */
  stopAllPods(graceMs: number): Promise<void>;
  facts(): Promise<AgentFacts>;
  /** Resolves when no pod needs anything at this moment. */
  idle(): Promise<void>;
}

// The kubelet's back-off for containers and images: 10 s doubling to 5 min.
const backoffLimits = { initialMs: 10_000, maxMs: 300_000 };
// kubelet volume manager (goroutinemap/exponentialbackoff): what is missing often comes a moment later.
const mountBackoffLimits = { initialMs: 500, maxMs: 122_000 };
// The kubelet's syncFrequency: what an event should have said is seen at the latest then.
const resyncMs = 60_000;
// Events still to be sent when the agent stops are not worth a longer wait.
const flushMs = 1_000;

/** Throws VM_SIZE_UNKNOWN. */
export function createNodeAgent(options: NodeAgentOptions): NodeAgent {
  const { cluster, runtime, images, nodeName, paths, clock, log } = options;
  const vmSize = findVmSize(options.vmSize);
  const capacity = capacityOf(vmSize);
  const events = createEventRecorder({
    cluster,
    clock,
    log,
    component: "kubelet",
    host: nodeName,
  });
  const data = createClusterData(cluster, clock);
  let handlers: readonly HandlerStatus[] = [];

  const deps: PodDependencies = {
    cluster,
    runtime,
    images,
    events,
    clock,
    log,
    paths,
    data,
    node: {
      name: nodeName,
      hostIp: nodeInternalIp,
      memoryCapacityBytes: capacity.memoryBytes,
      allocatable: allocatableOf(capacity),
      maxPods: capacity.pods,
      hostPorts: options.hostPorts ?? false,
    },
    volumes: createPodVolumes((uid) => podFolder(paths, uid), data),
    memory: options.memory ?? createHostMemory(),
    starts: createStartGates(clock, options.parallelStarts),
    handler: (name) => handlers.find((handler) => handler.name === name),
    containerBackoff: createBackoff({ ...backoffLimits, clock }),
    imageBackoff: createBackoff({ ...backoffLimits, clock }),
    mountBackoff: createBackoff({ ...mountBackoffLimits, clock }),
    activePods: () => [...manager.records.values()].filter((record) => !record.ended),
  };
  const manager = createPodManager(deps);
  let becomeReady: () => void = () => {};
  let failReady: (error: unknown) => void = () => {};
  const ready = new Promise<void>((resolve, reject) => {
    becomeReady = resolve;
    failReady = reject;
  });
  // Nobody has to wait for it: `run` tells the same.
  ready.catch(() => {});

  const refreshHandlers = async () => {
    handlers = await runtime.handlers();
    return handlers;
  };

  const run = async (signal: AbortSignal, { kubeletPort }: { readonly kubeletPort: number }) => {
    const host: HostFacts = await readHostFacts();
    await refreshHandlers();
    const reporter = createNodeReporter({
      cluster,
      clock,
      log,
      events,
      stateFolder: paths.state,
      nodeName,
      identity: () => ({ nodeName, vmSize, podCidr: options.podCidr, host, handlers, kubeletPort }),
      refreshHandlers,
    });
    const node = await reporter.register(signal);
    const stopListening = runtime.onEvent((event) => manager.onRuntimeEvent(event));
    try {
      await Promise.all([
        keepLease({ cluster, clock, log, nodeName, nodeUid: node.metadata.uid }, signal),
        reporter.keepReporting(signal),
        resyncForEver(signal),
        cluster.watch<PodObject>(
          podsPath(),
          { fieldSelector: `spec.nodeName=${nodeName}` },
          (event) => {
            manager.onPodEvent(event);
            if (event.type === "SYNC") becomeReady();
          },
          signal,
        ),
      ]);
    } finally {
      stopListening();
      await manager.close();
      await Promise.race([events.flush(), clock.sleep(flushMs)]);
    }
  };

  const resyncForEver = async (signal: AbortSignal) => {
    while (!signal.aborted) {
      await clock.sleep(resyncMs, signal).catch(() => {});
      if (signal.aborted) return;
      await manager
        .resync()
        .catch((error: unknown) => log.warn({ error: messageOf(error) }, "resync failed"));
    }
  };

  return {
    run: (signal, runOptions) =>
      run(signal, runOptions).catch((error: unknown) => {
        failReady(error);
        if (!signal.aborted) throw error;
      }),
    ready,
    pods: createPodDirectory(() => manager.records.values(), deps),
    stopAllPods: (graceMs) => manager.stopAllPods(graceMs),
    facts: async () => ({
      starts: {
        sandboxed: deps.starts.sandboxed.state(),
        trusted: deps.starts.trusted.state(),
      },
      memory: await deps.memory.facts(),
    }),
    idle: () => manager.idle(),
  };
}
