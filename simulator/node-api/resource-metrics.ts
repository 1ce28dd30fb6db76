/**
 * `/metrics/resource` (what metrics-server scrapes) and `/stats/summary` (its predecessor, still read by
 * dashboards), both from the runtime's usage. Node figures are the sum over its pods: the simulated
 * node is not the whole machine. Source: pkg/kubelet/metrics/collectors/resource_metrics.go and
 * k8s.io/kubelet/pkg/apis/stats/v1alpha1.
 */
import { rfc3339 } from "../../common/clock.ts";
import type { ContainerRuntime, ContainerUsage } from "../runtime-port.ts";
import type { PodContainer, PodDirectory, PodEntry } from "./pod-directory.ts";

interface ContainerSample extends ContainerUsage {
  readonly startedAtMs?: number;
}

export interface PodSample {
  readonly pod: PodEntry;
  readonly containers: readonly ContainerSample[];
}

/** A pod whose sandbox does not answer is left out, and `failed` says so. */
export async function samplePods(
  pods: PodDirectory,
  runtime: ContainerRuntime,
): Promise<{ readonly samples: readonly PodSample[]; readonly failed: boolean }> {
  let failed = false;
  const samples = await Promise.all(
    pods.list().map(async (pod): Promise<readonly PodSample[]> => {
      if (pod.sandboxId === undefined) return [];
      try {
        const usage = await runtime.usage(pod.sandboxId);
        return [{ pod, containers: usage.map((entry) => withStart(entry, pod.containers)) }];
      } catch {
        failed = true;
        return [];
      }
    }),
  );
  return { samples: samples.flat(), failed };
}

function withStart(usage: ContainerUsage, containers: readonly PodContainer[]): ContainerSample {
  const startedAtMs = containers.find(({ name }) => name === usage.name)?.startedAtMs;
  return startedAtMs === undefined ? usage : { ...usage, startedAtMs };
}

const nanosPerSecond = 1e9;
const cpuOf = (containers: readonly ContainerUsage[]) =>
  containers.reduce((sum, { cpuUsageNs }) => sum + cpuUsageNs, 0);
const memoryOf = (containers: readonly ContainerUsage[]) =>
  containers.reduce((sum, { memoryWorkingSetBytes }) => sum + memoryWorkingSetBytes, 0);

/** Prometheus text, version 0.0.4, each sample with its time in milliseconds. */
export function formatResourceMetrics(
  samples: readonly PodSample[],
  failed: boolean,
  nowMs: number,
): string {
  const lines: string[] = [];
  const family = (
    name: string,
    type: "counter" | "gauge",
    help: string,
    rows: ReadonlyArray<readonly [labels: Readonly<Record<string, string>>, value: number]>,
    timed = true,
  ) => {
    if (rows.length === 0) return;
    lines.push(`# HELP ${name} [STABLE] ${help}`, `# TYPE ${name} ${type}`);
    for (const [labels, value] of rows) {
      lines.push(`${name}${formatLabels(labels)} ${value}${timed ? ` ${nowMs}` : ""}`);
    }
  };
  const perContainer = samples.flatMap(({ pod, containers }) =>
    containers.map((container) => ({
      container,
      labels: { container: container.name, namespace: pod.namespace, pod: pod.name },
    })),
  );
  const perPod = samples.map(({ pod, containers }) => ({
    containers,
    labels: { namespace: pod.namespace, pod: pod.name },
  }));
  const all = perContainer.map(({ container }) => container);

  family(
    "container_cpu_usage_seconds_total",
    "counter",
    "Cumulative cpu time consumed by the container in core-seconds",
    perContainer.map(({ labels, container }) => [labels, container.cpuUsageNs / nanosPerSecond]),
  );
  family(
    "container_memory_working_set_bytes",
    "gauge",
    "Current working set of the container in bytes",
    perContainer.map(({ labels, container }) => [labels, container.memoryWorkingSetBytes]),
  );
  family(
    "container_start_time_seconds",
    "gauge",
    "Start time of the container since unix epoch in seconds",
    perContainer.flatMap(({ labels, container: { startedAtMs } }) =>
      startedAtMs === undefined ? [] : [[labels, startedAtMs / 1000] as const],
    ),
  );
  family(
    "node_cpu_usage_seconds_total",
    "counter",
    "Cumulative cpu time consumed by the node in core-seconds",
    [[{}, cpuOf(all) / nanosPerSecond]],
  );
  family("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes", [
    [{}, memoryOf(all)],
  ]);
  family(
    "pod_cpu_usage_seconds_total",
    "counter",
    "Cumulative cpu time consumed by the pod in core-seconds",
    perPod.map(({ labels, containers }) => [labels, cpuOf(containers) / nanosPerSecond]),
  );
  family(
    "pod_memory_working_set_bytes",
    "gauge",
    "Current working set of the pod in bytes",
    perPod.map(({ labels, containers }) => [labels, memoryOf(containers)]),
  );
  family(
    "resource_scrape_error",
    "gauge",
    "1 if there was an error while getting container metrics, 0 otherwise",
    [[{}, failed ? 1 : 0]],
    false,
  );
  return `${lines.join("\n")}\n`;
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** stats.k8s.io/v1alpha1 Summary, cumulative figures only. */
export function formatSummary(
  nodeName: string,
  samples: readonly PodSample[],
  nowMs: number,
): object {
  const time = rfc3339(nowMs);
  const figures = (containers: readonly ContainerUsage[]) => ({
    cpu: { time, usageCoreNanoSeconds: cpuOf(containers) },
    memory: { time, workingSetBytes: memoryOf(containers) },
  });
  return {
    node: { nodeName, ...figures(samples.flatMap(({ containers }) => containers)) },
    pods: samples.map(({ pod, containers }) => ({
      podRef: { name: pod.name, namespace: pod.namespace, uid: pod.uid },
      ...figures(containers),
      containers: containers.map((container) => ({
        name: container.name,
        ...(container.startedAtMs === undefined
          ? {}
          : { startTime: rfc3339(container.startedAtMs) }),
        ...figures([container]),
      })),
    })),
  };
}
