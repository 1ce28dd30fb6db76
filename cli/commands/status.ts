/** `katasim status`: is the node up, and what runs on it. Exit code 0 running, 1 degraded, 4 not running. */
import type { Command } from "commander";
import { messageOf } from "../../common/errors.ts";
import type { GateState } from "../../common/fair-gate.ts";
import type { SpareCounts } from "../../simulator/runtime/index.ts";
import type { NodeFacts } from "../agent-facts.ts";
import type { CommandContext } from "../context.ts";
import { readPidFile } from "../daemon/pid-file.ts";
import { memoryOf } from "../daemon/process-memory.ts";
import { memoryText, mib } from "../output/memory-text.ts";
import { cliObject } from "../output/objects.ts";
import { formatTable, humanDuration } from "../output/table.ts";
import { type Bind, withOutput } from "../program.ts";
import type { SandboxMemory, SandboxView } from "../sandboxes.ts";
import { readRememberedSettings, resolveSettings } from "../settings.ts";
import { readAdminEntry } from "./kubeconfig.ts";

interface Part {
  readonly part: string;
  readonly state: string;
  readonly ok: boolean;
  readonly reason: string | undefined;
}

export interface InstanceStatus {
  readonly name: string;
  readonly state: "running" | "degraded" | "stopped";
  readonly pid: number | undefined;
  readonly server: string | undefined;
  readonly parts: readonly Part[];
  readonly sandboxes: readonly SandboxView[];
  /** What the daemon takes of this machine's memory, and all sandboxes together. */
  readonly daemonBytes: number;
  readonly sandboxMemory: SandboxMemory;
  /** Starts under way and the memory there is for more, as the node agent says; absent when it does not. */
  readonly agent?: NodeFacts;
}

const exitCodes = { running: 0, degraded: 1, stopped: 4 } as const;

export function addStatus(program: Command, bind: Bind): void {
  const command = withOutput(program.command("status")).description(
    "node, API and sandboxes; exit code 0 running, 1 degraded, 4 not running",
  );
  bind(command, async (context) => {
    const status = await readStatus(context);
    context.printObject(cliObject("Status", status), () => formatStatus(context, status));
    if (status.state === "stopped") {
      context.say(`start it: ${context.self} up -d`);
    }
    return exitCodes[status.state];
  });
}

async function readStatus(context: CommandContext): Promise<InstanceStatus> {
  const { paths } = context;
  const owner = await readPidFile(paths.pidFile);
  const { listSandboxes, totalMemory } = await import("../sandboxes.ts");
  const sandboxes = await listSandboxes(paths);
  const common = { name: paths.name, sandboxes, sandboxMemory: totalMemory(sandboxes) };
  if (owner === undefined) {
    // Pods outlive a killed daemon: then the node is not stopped, it has lost its agent.
    const alive = sandboxes.some(({ state }) => state === "ready");
    const reason = alive ? "the daemon has gone; its pods still run" : undefined;
    return {
      ...common,
      state: alive ? "degraded" : "stopped",
      pid: undefined,
      server: undefined,
      parts: [{ part: "daemon", state: "not running", ok: false, reason }],
      daemonBytes: 0,
    };
  }
  const { network, listen } = resolveSettings({}, context.env, await readRememberedSettings(paths));
  const daemon: Part = { part: "daemon", state: `pid ${owner.pid}`, ok: true, reason: undefined };
  const { server, parts, agent } = await askCluster(context, listen);
  const all = [daemon, ...parts, { part: "network", ...networkStates[network] }];
  return {
    ...common,
    state: all.every(({ ok }) => ok) ? "running" : "degraded",
    pid: owner.pid,
    server,
    parts: all,
    daemonBytes: memoryOf(owner.pid).bytes,
    ...(agent === undefined ? {} : { agent }),
  };
}

const networkStates = {
  cni: { state: "cni", ok: true, reason: undefined },
  user: {
    state: "user",
    ok: true,
    reason: "pods' IPs are reached by kubectl port-forward alone",
  },
} as const;

async function askCluster(
  context: CommandContext,
  listen: string,
): Promise<{
  readonly server: string | undefined;
  readonly parts: readonly Part[];
  readonly agent?: NodeFacts;
}> {
  try {
    const { readCluster } = await import("../node-status.ts");
    const entry = await readAdminEntry(context);
    const { server, nodes, pods } = await readCluster(entry);
    const { readAgentFacts } = await import("../agent-facts.ts");
    const port = nodes.find(({ kubeletPort }) => kubeletPort !== undefined)?.kubeletPort;
    // A node that is not up yet has none, and says so itself.
    const agent =
      port === undefined
        ? undefined
        : await readAgentFacts(entry, { host: listen, port }).catch(() => undefined);
    const running = pods.filter(({ phase }) => phase === "Running").length;
    return {
      server,
      ...(agent === undefined ? {} : { agent }),
      parts: [
        { part: "api", state: server, ok: true, reason: undefined },
        ...nodes.map(({ name, ready, message, kubeletPort }) => ({
          part: `node ${name}`,
          state: ready ? `Ready, kubelet port ${kubeletPort ?? "unknown"}` : "NotReady",
          ok: ready,
          reason: ready ? undefined : message,
        })),
        {
          part: "pods",
          state: `${running} of ${pods.length} running`,
          ok: true,
          reason: undefined,
        },
      ],
    };
  } catch (error) {
    const reason = messageOf(error);
    return { server: undefined, parts: [{ part: "api", state: "no answer", ok: false, reason }] };
  }
}

function agentRows({ starts, memory, pool }: NodeFacts) {
  const { availableMib, totalMib, reserveMib, promisedMib } = memory;
  const row = (part: string, state: string) => ({ part, state, ok: true, reason: undefined });
  return [
    row(
      "this machine",
      `${availableMib} of ${totalMib} MiB free, ${reserveMib} MiB kept for itself, ${promisedMib} MiB promised to starting VMs`,
    ),
    ...(pool === undefined ? [] : [row("warm pool", poolText(pool))]),
    row("VM starts", gateText(starts.sandboxed)),
    row("other starts", gateText(starts.trusted)),
  ];
}

function poolText({ ready, wanted, served, missed }: SpareCounts): string {
  return `${ready} of ${wanted} VMs wait, ${served} pods got one, ${missed} found none`;
}

function gateText({ inside, places, waiting, oldestSinceMs }: GateState): string {
  const oldest =
    oldestSinceMs === undefined
      ? ""
      : `, the oldest since ${new Date(oldestSinceMs).toISOString()} (${humanDuration(Date.now() - oldestSinceMs)})`;
  return `starting ${inside} of at most ${places}, waiting ${waiting}${oldest}`;
}

function formatStatus(context: CommandContext, status: InstanceStatus): string {
  const rows = [
    ...status.parts,
    {
      part: "memory",
      state: `daemon ${mib(status.daemonBytes)}, sandboxes ${memoryText(status.sandboxMemory)}`,
      ok: true,
      reason: undefined,
    },
    ...(status.agent === undefined ? [] : agentRows(status.agent)),
    ...status.sandboxes.map((sandbox) => ({
      part: `sandbox ${sandbox.id.slice(0, 12)}`,
      state: `${sandbox.state}, ${sandbox.namespace}/${sandbox.pod}, ${sandbox.handler}, ${memoryText(sandbox.memory)}`,
      ok: sandbox.state === "ready",
      reason: sandbox.reason,
    })),
  ];
  const table = formatTable(
    [
      { head: "PART", cell: (row) => row.part },
      { head: "STATE", cell: (row) => row.state },
      { head: "REASON", cell: (row) => row.reason ?? "" },
    ],
    rows,
    { headers: context.headers },
  );
  return `katasim "${status.name}" is ${status.state}\n${table.replaceAll(/ +<none>$/gm, "")}`;
}
