/** A node agent over the fakes, with its files in a temporary folder. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../common/log.ts";
import { createNodeAgent, type NodeAgent } from "../../simulator/agent.ts";
import { createHostMemory } from "../../simulator/pods/host-memory.ts";
import { createFakeCluster, type FakeCluster } from "./fake-cluster.ts";
import {
  createFakeImages,
  createFakeRuntime,
  type FakeImages,
  type FakeRuntime,
} from "./fake-runtime.ts";
import { createManualClock, type ManualClock, settle } from "./manual-clock.ts";

export interface AgentScene {
  readonly clock: ManualClock;
  readonly cluster: FakeCluster;
  readonly runtime: FakeRuntime;
  readonly images: FakeImages;
  readonly folder: string;
  agent: NodeAgent;
  /** Resolves when no pod needs anything now. */
  rest(): Promise<void>;
  /** Resolves when it holds, for steps that are held up on purpose; rejects when it never does. */
  until(holds: () => boolean): Promise<void>;
  /** As a `kill` and a new start of the agent: all its memory is gone. */
  restartAgent(): Promise<void>;
  /** Ends the agent; pods stay. */
  stopAgent(): Promise<void>;
  dispose(): Promise<void>;
}

// Polling, because the agent's file operations are real; far above what they need on a busy machine.
const pollMs = 1;
const maxPolls = 10_000;

export interface SceneOptions {
  /** Free memory of the machine. */
  readonly availableMib?: number;
  readonly parallelStarts?: number;
}

export async function createAgentScene(options: SceneOptions = {}): Promise<AgentScene> {
  const folder = await mkdtemp(join(tmpdir(), "katasim-agent-"));
  const clock = createManualClock();
  const cluster = createFakeCluster();
  const runtime = createFakeRuntime(clock);
  const images = createFakeImages();
  let stop = new AbortController();
  let running: Promise<void> = Promise.resolve();

  const start = async (): Promise<NodeAgent> => {
    const agent = createNodeAgent({
      cluster,
      runtime,
      images,
      nodeName: "node-1",
      vmSize: "Standard_D4s_v3",
      paths: { pods: join(folder, "pods"), podLogs: join(folder, "logs"), state: folder },
      clock,
      log: silentLogger,
      parallelStarts: options.parallelStarts,
      memory: createHostMemory({
        read: async () => ({ availableMib: options.availableMib ?? 100_000, totalMib: 100_000 }),
      }),
    });
    stop = new AbortController();
    running = agent.run(stop.signal, { kubeletPort: 10250 });
    await agent.ready;
    return agent;
  };
  const rest = async () => {
    for (let quiet = 0; quiet < 2; quiet++) {
      await scene.agent.idle();
      await settle(3);
    }
  };
  const stopAgent = async () => {
    stop.abort();
    for (let turn = 0; turn < 5; turn++) await clock.advance(1_000);
    await running;
  };
  const scene: AgentScene = {
    clock,
    cluster,
    runtime,
    images,
    folder,
    agent: await start(),
    rest,
    async until(holds) {
      for (let poll = 0; poll < maxPolls; poll++) {
        if (holds()) return;
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
      throw new Error(`never held: ${holds}`);
    },
    stopAgent,
    async restartAgent() {
      await stopAgent();
      scene.agent = await start();
      await rest();
    },
    async dispose() {
      await stopAgent();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return scene;
}
