/** A katasim node of the bench's own, any free ports, and pods on it that do nothing but run. */
import { listSandboxes, type SandboxView } from "../../cli/sandboxes.ts";
import { messageOf } from "../../common/errors.ts";
import { resolvePaths } from "../../common/paths.ts";
import { builtinImageName } from "../../simulator/images/image-aliases.ts";
import { vmTestObstacle } from "../../test/support/guest-image.ts";
import { previewClass } from "../../test/support/pods.ts";
import { makeSimulator, type Simulator } from "../../test/support/start-simulator.ts";
import { sharedCache } from "../../test/support/temp-home.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { type ApiClient, connectApi } from "./api-client.ts";
import { NotHere } from "./group.ts";
import { whenGone } from "./process-figures.ts";

export type PodKind = "trusted" | "sandboxed";

export interface Node {
  readonly api: ApiClient;
  readonly simulator: Simulator;
  readonly daemonPid: number;
  /** From the POST to the pod being seen running. */
  startPod(name: string, kind: PodKind, command?: readonly string[]): Promise<number>;
  endPod(name: string): Promise<PodEnd>;
  sandboxes(): Promise<readonly SandboxView[]>;
  sandboxOf(pod: string): Promise<SandboxView>;
  /** Nothing of ended pods is at work any more, and the pool is full. */
  settled(): Promise<void>;
  /** Starts a pod of the kind and ends it: the image is there after it, and the template. */
  warmUp(kind: PodKind): Promise<void>;
  /** Answers what is left. */
  close(): Promise<readonly string[]>;
}

export interface PodEnd {
  /** From the DELETE to DELETED on the watch. */
  readonly deletedMs: number;
  /** From the DELETE to the end of its shim and VMM. */
  readonly goneMs: number;
}

export interface NodeOptions {
  /** VMs from templates. Default: on. */
  readonly templates?: boolean;
  /** Spare VMs. Default: none. */
  readonly warmPool?: number;
  readonly signal: AbortSignal;
}

/** Ends at SIGTERM: else a deletion is mostly the second that every pod gets for it. */
export const idle = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"];

/** Room for fifty pods and the overhead that their RuntimeClass counts for each. */
const vmSize = "Standard_D16s_v3";

/** One that has started and ended a sandboxed pod already. Leaves nothing when it cannot. */
export async function startWarmNode(options: NodeOptions): Promise<Node> {
  const node = await startNode(options);
  try {
    await node.warmUp("sandboxed");
    return node;
  } catch (error) {
    await node.close();
    throw error;
  }
}

export async function startNode(options: NodeOptions): Promise<Node> {
  const { templates = true, warmPool = 0, signal } = options;
  const obstacle = vmTestObstacle();
  if (obstacle !== undefined) throw new NotHere(obstacle);
  const simulator = await makeSimulator({
    up: [
      ...["--vm-size", vmSize],
      ...["--templates", templates ? "on" : "off"],
      ...["--warm-pool", String(warmPool)],
    ],
  });
  try {
    const { exitCode, stderr } = await simulator.up();
    if (exitCode !== 0) throw new Error(`katasim up exited with ${exitCode}: ${stderr.trim()}`);
    return await nodeOf(simulator, warmPool, signal);
  } catch (error) {
    await simulator[Symbol.asyncDispose]();
    throw error;
  }
}

async function nodeOf(simulator: Simulator, warmPool: number, signal: AbortSignal): Promise<Node> {
  const { home, instance } = simulator;
  const paths = resolvePaths({ name: instance, home, env: { KATASIM_CACHE: sharedCache() } });
  const api = await connectApi(paths.adminKubeconfig, signal);
  const { pid } = await statusOf(simulator);
  const sandboxes = () => listSandboxes(paths);

  async function sandboxOf(pod: string): Promise<SandboxView> {
    const found = (await sandboxes()).findLast((sandbox) => sandbox.pod === pod);
    if (found === undefined) throw new Error(`pod ${pod} has no sandbox`);
    return found;
  }

  async function startPod(name: string, kind: PodKind, command = idle): Promise<number> {
    const running = api.watch.running(name);
    const startedMs = performance.now();
    try {
      const [atMs] = await Promise.all([running, api.create(podOf(name, kind, command))]);
      return atMs - startedMs;
    } catch (error) {
      // It must not stand in the way of the next.
      await api.remove(name).catch(() => {});
      throw error;
    }
  }

  async function endPod(name: string): Promise<PodEnd> {
    const pids = pidsOf(await sandboxOf(name));
    const deleted = api.watch.deleted(name);
    const startedMs = performance.now();
    const [deletedAtMs, goneAtMs] = await Promise.all([
      deleted,
      whenGone(pids, signal),
      api.remove(name),
    ]);
    return { deletedMs: deletedAtMs - startedMs, goneMs: goneAtMs - startedMs };
  }

  async function settled(): Promise<void> {
    await waitUntil(
      async () => {
        signal.throwIfAborted();
        return (await sandboxes()).length === 0;
      },
      { what: "the ended pods' sandboxes to be removed", intervalMs: 20 },
    );
    if (warmPool === 0) return;
    await waitUntil(
      async () => {
        signal.throwIfAborted();
        const pool = (await statusOf(simulator)).agent?.pool;
        return pool !== undefined && pool.ready >= pool.wanted;
      },
      { what: "the warm pool to be full", intervalMs: 100 },
    );
  }

  return {
    api,
    simulator,
    daemonPid: pid,
    startPod,
    endPod,
    sandboxes,
    sandboxOf,
    settled,
    async warmUp(kind) {
      await startPod(`warm-up-${kind}`, kind);
      await endPod(`warm-up-${kind}`);
      await settled();
    },
    async close() {
      api.close();
      try {
        await simulator[Symbol.asyncDispose]();
        return [];
      } catch (error) {
        return [messageOf(error)];
      }
    },
  };
}

export function pidsOf({ shimPid, vm }: SandboxView): readonly number[] {
  return [shimPid, vm?.vmmPid].filter((pid) => pid !== undefined);
}

/** What the figures of sandboxed pods hang on, e.g. "qemu 7.2.22 on tcg, 1 vCPU, 2048 MiB, cold". */
export function vmConditions({ vm }: SandboxView): string {
  if (vm === undefined) return "no VM";
  const { hypervisor, hypervisorVersion, accelerator, vcpus, memoryMib, startKind, fellBack } = vm;
  const start = fellBack === undefined ? startKind : `${startKind}, for ${fellBack}`;
  return `${hypervisor} ${hypervisorVersion} on ${accelerator}, ${vcpus} vCPU, ${memoryMib} MiB, start: ${start}`;
}

function podOf(name: string, kind: PodKind, command: readonly string[]): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      ...(kind === "sandboxed" ? { runtimeClassName: previewClass } : {}),
      terminationGracePeriodSeconds: 0,
      containers: [
        { name: "main", image: builtinImageName, imagePullPolicy: "IfNotPresent", command },
      ],
    },
  };
}

interface Status {
  readonly pid: number;
  readonly agent?: {
    readonly pool?: { readonly ready: number; readonly wanted: number };
  };
}

async function statusOf(simulator: Simulator): Promise<Status> {
  return JSON.parse(await simulator.katasimOk(["status", "-o", "json"])) as Status;
}
