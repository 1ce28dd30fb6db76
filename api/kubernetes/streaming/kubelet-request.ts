/**
 * The kubelet's form of a pod request: its path, and its own parameter names.
 * Source: kubernetes pkg/registry/core/pod/strategy.go LogLocation, streamLocation, streamParams.
 */
import type { Pod } from "../../../proto/kubernetes/gen/types.ts";
import { apiError } from "../../errors.ts";
import type { ApiContext } from "../context.ts";
import { getObject } from "../generic/keys.ts";
import type { ConnectTarget } from "../http/exchange.ts";
import { noSuchPath } from "../status-errors.ts";

export interface KubeletRequest {
  /** Empty while no node runs the pod. */
  readonly nodeName: string;
  /** Path and query. */
  readonly path: string;
}

const logParameters = [
  "follow",
  "limitBytes",
  "previous",
  "sinceSeconds",
  "sinceTime",
  "stream",
  "tailLines",
  "timestamps",
];

const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container";

export function kubeletRequestOf(
  context: ApiContext,
  target: ConnectTarget,
  query: URLSearchParams,
): KubeletRequest {
  if (target.definition.storage === "nodes") {
    const rest = target.rest === "" ? "" : target.rest;
    return { nodeName: target.name, path: withQuery(`/${rest}`, query) };
  }
  const pod = getObject(context, target.definition, target) as unknown as Pod;
  const nodeName = pod.spec?.nodeName ?? "";
  const place = `${target.namespace}/${target.name}`;
  if (target.subresource === "log") {
    const container = containerOf(pod, query);
    return {
      nodeName,
      path: withQuery(`/containerLogs/${place}/${container}`, pick(query, logParameters)),
    };
  }
  if (target.subresource === "portforward") {
    assertHost(pod, nodeName);
    const ports = query.getAll("ports").flatMap((value) => value.split(","));
    const parameters = new URLSearchParams(ports.length > 0 ? { port: ports.join(",") } : {});
    return { nodeName, path: withQuery(`/portForward/${place}`, parameters) };
  }
  if (target.subresource === "exec" || target.subresource === "attach") {
    const container = containerOf(pod, query);
    assertHost(pod, nodeName);
    return {
      nodeName,
      path: withQuery(`/${target.subresource}/${place}/${container}`, streamParameters(query)),
    };
  }
  throw noSuchPath();
}

function streamParameters(query: URLSearchParams): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [ours, kubelets] of [
    ["stdin", "input"],
    ["stdout", "output"],
    ["stderr", "error"],
    ["tty", "tty"],
  ] as const) {
    if (isTrue(query.get(ours))) parameters.set(kubelets, "1");
  }
  if (!["input", "output", "error"].some((name) => parameters.has(name))) {
    throw apiError("BAD_REQUEST", "you must specify at least 1 of stdin, stdout, stderr");
  }
  for (const argument of query.getAll("command")) parameters.append("command", argument);
  return parameters;
}

function containerOf(pod: Pod, query: URLSearchParams): string {
  const name = pod.metadata?.name ?? "";
  const app = (pod.spec?.containers ?? []).map((container) => container.name);
  const init = (pod.spec?.initContainers ?? []).map((container) => container.name);
  const asked = query.get("container") ?? "";
  if (asked !== "") {
    if ([...app, ...init].includes(asked)) return asked;
    throw apiError("BAD_REQUEST", `container ${asked} is not valid for pod ${name}`);
  }
  const preferred = pod.metadata?.annotations?.[defaultContainerAnnotation];
  if (preferred !== undefined && app.includes(preferred)) return preferred;
  const [first, ...others] = app;
  if (first === undefined) {
    throw apiError("BAD_REQUEST", `a container name must be specified for pod ${name}`);
  }
  if (others.length === 0) return first;
  const orInit = init.length === 0 ? "" : ` or one of the init containers: [${init.join(" ")}]`;
  throw apiError(
    "BAD_REQUEST",
    `a container name must be specified for pod ${name}, choose one of: [${app.join(" ")}]${orInit}`,
  );
}

function assertHost(pod: Pod, nodeName: string): void {
  if (nodeName !== "") return;
  throw apiError("BAD_REQUEST", `pod ${pod.metadata?.name ?? ""} does not have a host assigned`);
}

function pick(query: URLSearchParams, names: readonly string[]): URLSearchParams {
  return new URLSearchParams([...query].filter(([name]) => names.includes(name)));
}

function withQuery(path: string, query: URLSearchParams): string {
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

function isTrue(value: string | null): boolean {
  return value === "true" || value === "1";
}
