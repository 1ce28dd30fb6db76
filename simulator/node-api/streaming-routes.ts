/** `/exec`, `/attach` and `/portForward`: from an upgrade request to the verb that serves it. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { createWebSocketStream } from "ws";
import type { Clock } from "../../common/clock.ts";
import type { Logger } from "../../common/log.ts";
import type { ContainerRuntime } from "../runtime-port.ts";
import { serveAttach } from "./attach.ts";
import { nodeApiError } from "./errors.ts";
import { serveExec } from "./exec.ts";
import type { PodDirectory, PodEntry } from "./pod-directory.ts";
import {
  type PortForwardTarget,
  servePortForward,
  spdyPortForwardProtocol,
  tunnelPortForwardProtocol,
} from "./port-forward.ts";
import {
  channelPortForwardProtocol,
  parsePorts,
  servePortForwardChannels,
} from "./port-forward-channels.ts";
import {
  parseStreamOptions,
  type RemoteStreamOptions,
  type RemoteStreams,
} from "./remote-streams.ts";
import { openSpdyStreams } from "./spdy-streams.ts";
import { acceptSpdy, acceptWebSocket, negotiateProtocol, upgradeKindOf } from "./upgrade.ts";
import { channelProtocols, openChannelStreams } from "./websocket-channels.ts";

export interface StreamingDeps {
  readonly pods: PodDirectory;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the client sent right behind its request. */
  readonly head: Buffer;
}

/** Serves the request to its end. Rejects with a SimError while HTTP can still be answered. */
export type StreamingRoute = (
  upgrade: Upgrade,
  path: readonly string[],
  query: URLSearchParams,
  deps: StreamingDeps,
) => Promise<void>;

/** By the first segment of the path; `path` is what follows it. */
export const streamingRoutes: Readonly<Record<string, StreamingRoute>> = {
  exec: async (upgrade, path, query, deps) => {
    const containerId = findContainerId(deps.pods, path);
    const command = query.getAll("command");
    if (command.length === 0) {
      throw nodeApiError("BAD_OPTIONS", "you must specify a command to execute");
    }
    const options = parseStreamOptions(query);
    const streams = await openRemoteStreams(upgrade, options, deps.clock);
    await serveExec(streams, { containerId, command, options }, deps.runtime, deps.log);
  },
  attach: async (upgrade, path, query, deps) => {
    const containerId = findContainerId(deps.pods, path);
    const options = parseStreamOptions(query);
    const streams = await openRemoteStreams(upgrade, options, deps.clock);
    await serveAttach(streams, { containerId, options }, deps.runtime, deps.log);
  },
  portForward: async ({ request, socket, head }, path, query, deps) => {
    const target = portForwardTarget(findPod(deps.pods, path), deps.runtime);
    const kind = upgradeKindOf(request);
    if (kind === "spdy") {
      const protocol = negotiateProtocol(request, kind, [spdyPortForwardProtocol]);
      const transport = acceptSpdy(socket, head, protocol);
      await servePortForward(transport, target, deps.clock, deps.log);
      return;
    }
    const protocol = negotiateProtocol(request, kind, [
      tunnelPortForwardProtocol,
      channelPortForwardProtocol,
    ]);
    if (protocol === tunnelPortForwardProtocol) {
      const webSocket = await acceptWebSocket(request, socket, head, protocol);
      const transport = createWebSocketStream(webSocket);
      await servePortForward(transport, target, deps.clock, deps.log);
      return;
    }
    const ports = parsePorts(query);
    const webSocket = await acceptWebSocket(request, socket, head, protocol);
    await servePortForwardChannels(webSocket, ports, target, deps.log);
  },
};

async function openRemoteStreams(
  { request, socket, head }: Upgrade,
  options: RemoteStreamOptions,
  clock: Clock,
): Promise<RemoteStreams> {
  const kind = upgradeKindOf(request);
  const protocol = negotiateProtocol(request, kind, channelProtocols);
  if (kind === "spdy") return openSpdyStreams(acceptSpdy(socket, head, protocol), options, clock);
  return openChannelStreams(
    await acceptWebSocket(request, socket, head, protocol),
    protocol,
    options,
  );
}

function findPod(pods: PodDirectory, path: readonly string[], uid = path[2]): PodEntry {
  const [namespace = "", name = ""] = path;
  const pod = pods.find(namespace, name);
  if (pod === undefined || (uid !== undefined && uid !== pod.uid)) {
    throw nodeApiError("POD_NOT_FOUND", "pod does not exist");
  }
  return pod;
}

/** Paths are `{namespace}/{pod}/{container}` and `{namespace}/{pod}/{uid}/{container}`. */
function findContainerId(pods: PodDirectory, path: readonly string[]): string {
  if (path.length < 3 || path.length > 4) {
    throw nodeApiError("ROUTE_NOT_FOUND", "404 page not found");
  }
  const pod = findPod(pods, path.slice(0, 2), path.length === 4 ? path[2] : undefined);
  const name = path.at(-1) ?? "";
  const container = pod.containers.find((candidate) => candidate.name === name);
  if (container?.containerId === undefined || !container.running) {
    throw nodeApiError("EXEC_CONTAINER_NOT_FOUND", `container not found ("${name}")`);
  }
  return container.containerId;
}

function portForwardTarget(pod: PodEntry, runtime: ContainerRuntime): PortForwardTarget {
  const { sandboxId } = pod;
  if (sandboxId === undefined) {
    throw nodeApiError("SANDBOX_NOT_FOUND", `pod not found ("${pod.name}_${pod.namespace}")`);
  }
  return { sandboxId, connect: (port) => runtime.portForward(sandboxId, port) };
}
