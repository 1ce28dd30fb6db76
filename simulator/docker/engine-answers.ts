/** Reads the Engine API's JSON into the contract's types. Pure. */
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import type { ContainerFacts, EngineEvent, EngineUsage, ExecFacts } from "./engine.ts";

// Go's zero time, which the engine writes where there is none.
const noTime = "0001-01-01T00:00:00Z";

export function containerFacts(found: Docker.ContainerInspectInfo): ContainerFacts {
  const { State, Config, NetworkSettings } = found;
  const addresses = Object.values(NetworkSettings.Networks ?? {}).map((n) => n.IPAddress);
  return {
    id: found.Id,
    labels: Config.Labels ?? {},
    status: statusOf(State.Status),
    createdAtMs: Date.parse(found.Created),
    startedAtMs: timeOf(State.StartedAt),
    finishedAtMs: timeOf(State.FinishedAt),
    exitCode: State.ExitCode,
    oomKilled: State.OOMKilled,
    error: State.Error ?? "",
    ip: addresses.find((address) => address !== ""),
  };
}

/** "paused" and "restarting" are the engine's shades of running; "removing" and "dead" of ended. */
function statusOf(status: string): ContainerFacts["status"] {
  if (status === "created") return "created";
  return ["running", "paused", "restarting"].includes(status) ? "running" : "exited";
}

function timeOf(text: string): number | undefined {
  return text === noTime || text === "" ? undefined : Date.parse(text);
}

export function execFacts(found: Docker.ExecInspectInfo): ExecFacts {
  return {
    running: found.Running,
    pid: found.Pid ?? 0,
    exitCode: found.ExitCode ?? undefined,
  };
}

/** Undefined when nothing was measured: the container has just ended. */
export function usageOf(stats: Docker.ContainerStats): EngineUsage | undefined {
  const { cpu_stats: cpu, memory_stats: memory } = stats;
  if (memory?.usage === undefined) return undefined;
  // cgroup v1 says total_inactive_file, v2 inactive_file.
  const detail = (memory.stats ?? {}) as Readonly<Record<string, number | undefined>>;
  return {
    cpuUsageNs: cpu?.cpu_usage?.total_usage ?? 0,
    memoryUsageBytes: memory.usage,
    inactiveFileBytes: detail.total_inactive_file ?? detail.inactive_file ?? 0,
  };
}

/** One JSON object a line; what cannot be read is left out. */
export async function* eventsOf(stream: Readable): AsyncIterable<EngineEvent> {
  // readline does not pass on the stream's errors: a broken connection is an end.
  stream.on("error", () => stream.destroy());
  for await (const line of createInterface({ input: stream })) {
    const event = parseEvent(line);
    if (event !== undefined) yield event;
  }
}

function parseEvent(line: string): EngineEvent | undefined {
  try {
    const { Action, Actor } = JSON.parse(line) as { Action?: unknown; Actor?: { ID?: unknown } };
    if (typeof Action !== "string" || typeof Actor?.ID !== "string") return undefined;
    return { action: Action, containerId: Actor.ID };
  } catch {
    return undefined;
  }
}
