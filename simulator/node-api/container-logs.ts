/** `/containerLogs`: which file, which options, and the errors users know. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Clock } from "../../common/clock.ts";
import type { ContainerRuntime } from "../runtime-port.ts";
import { nodeApiError } from "./errors.ts";
import { type FollowedContainer, type LogReadOptions, readLog } from "./log-reader.ts";
import type { PodContainer, PodDirectory } from "./pod-directory.ts";

export interface LogRequest {
  readonly path: string;
  readonly options: LogReadOptions;
  /** Set when the client follows and there is a container to follow. */
  readonly followContainerId?: string;
}

/**
 * Finds the file a request is about. Throws POD_NOT_FOUND, LOG_CONTAINER_NOT_FOUND, BAD_OPTIONS or
 * LOGS_NOT_AVAILABLE, in the kubelet's words (pkg/kubelet/kubelet_pods.go, validateContainerLogStatus).
 */
export function resolveLogRequest(
  pods: PodDirectory,
  target: { readonly namespace: string; readonly pod: string; readonly container: string },
  query: URLSearchParams,
  clock: Clock,
): LogRequest {
  const pod = pods.find(target.namespace, target.pod);
  if (pod === undefined) {
    throw nodeApiError("POD_NOT_FOUND", `pod "${target.pod}" does not exist`);
  }
  const container = pod.containers.find(({ name }) => name === target.container);
  if (container === undefined) {
    throw nodeApiError(
      "LOG_CONTAINER_NOT_FOUND",
      `container "${target.container}" not found in pod "${target.pod}"`,
    );
  }
  const options = parseLogOptions(query, clock.nowMs());
  const where = `container "${target.container}" in pod "${target.pod}"`;
  if (isTrue(query, "previous")) {
    if (container.previousLogPath === undefined) {
      throw nodeApiError("LOGS_NOT_AVAILABLE", `previous terminated ${where} not found`);
    }
    return { path: container.previousLogPath, options };
  }
  const path = container.logPaths.at(-1);
  if (path === undefined) {
    throw nodeApiError("LOGS_NOT_AVAILABLE", `${where} is ${waitingText(container)}`);
  }
  const follows = isTrue(query, "follow") && container.running;
  return follows && container.containerId !== undefined
    ? { path, options, followContainerId: container.containerId }
    : { path, options };
}

function waitingText({ waitingReason }: PodContainer): string {
  switch (waitingReason) {
    case undefined:
      return "waiting to start - no logs yet";
    case "ErrImagePull":
      return "waiting to start: image can't be pulled";
    case "ImagePullBackOff":
      return "waiting to start: trying and failing to pull image";
    default:
      return `waiting to start: ${waitingReason}`;
  }
}

function parseLogOptions(query: URLSearchParams, nowMs: number): LogReadOptions {
  const tailLines = parseCount(query, "tailLines", 0);
  const limitBytes = parseCount(query, "limitBytes", 1);
  const sinceSeconds = parseCount(query, "sinceSeconds", 1);
  const sinceTime = query.get("sinceTime");
  const sinceTimeMs = sinceTime ? Date.parse(sinceTime) : undefined;
  if (Number.isNaN(sinceTimeMs)) {
    throw nodeApiError("BAD_OPTIONS", `sinceTime: "${sinceTime}" is no RFC 3339 time`);
  }
  const starts = [
    ...(sinceSeconds === undefined ? [] : [nowMs - sinceSeconds * 1000]),
    ...(sinceTimeMs === undefined ? [] : [sinceTimeMs]),
  ];
  return {
    timestamps: isTrue(query, "timestamps"),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(starts.length === 0 ? {} : { sinceMs: Math.max(...starts) }),
  };
}

function parseCount(query: URLSearchParams, name: string, least: number): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    throw nodeApiError("BAD_OPTIONS", `${name}: "${text}" must be an integer of at least ${least}`);
  }
  return value;
}

function isTrue(query: URLSearchParams, name: string): boolean {
  return query.get(name) === "true" || query.get(name) === "1";
}

/** Streams the log as chunked text until it is through, the container ended or `signal` aborts. */
export async function serveContainerLogs(
  request: LogRequest,
  response: ServerResponse,
  runtime: ContainerRuntime,
  signal: AbortSignal,
): Promise<void> {
  const { followContainerId } = request;
  const follow = followContainerId === undefined ? undefined : followed(runtime, followContainerId);
  response.writeHead(200, { "content-type": "text/plain" });
  // A follower of a silent container must know at once that it is connected.
  response.flushHeaders();
  for await (const chunk of readLog(request.path, request.options, follow, signal)) {
    if (!response.write(chunk)) await once(response, "drain", { signal });
  }
  response.end();
}

function followed(runtime: ContainerRuntime, containerId: string): FollowedContainer {
  return {
    isRunning: async () => {
      const status = await runtime.containerStatus(containerId);
      return status?.state === "running" || status?.state === "created";
    },
    onChange: (listener) =>
      runtime.onEvent((event) => {
        if (event.type === "containerExited" && event.containerId === containerId) listener();
        if (event.type === "sandboxExited") listener();
      }),
  };
}
