import { describe, expect, it } from "vitest";
import { formatResourceMetrics, formatSummary, type PodSample } from "./resource-metrics.ts";

const sample: PodSample = {
  pod: { namespace: "ns", name: "p", uid: "u", containers: [] },
  containers: [
    { containerId: "1", name: "a", cpuUsageNs: 1e9, memoryWorkingSetBytes: 10, startedAtMs: 5000 },
    { containerId: "2", name: "b", cpuUsageNs: 5e8, memoryWorkingSetBytes: 20 },
  ],
};

describe("resource metrics", () => {
  it("are Prometheus text with sums per pod and node", () => {
    const lines = formatResourceMetrics([sample], false, 77).split("\n");
    expect(lines).toContain(
      'container_cpu_usage_seconds_total{container="b",namespace="ns",pod="p"} 0.5 77',
    );
    expect(lines).toContain(
      'container_start_time_seconds{container="a",namespace="ns",pod="p"} 5 77',
    );
    expect(lines).toContain('pod_cpu_usage_seconds_total{namespace="ns",pod="p"} 1.5 77');
    expect(lines).toContain("node_memory_working_set_bytes 30 77");
    expect(lines).toContain("# TYPE pod_memory_working_set_bytes gauge");
    expect(lines).toContain("resource_scrape_error 0");
  });

  it("say that a pod could not be read", () => {
    expect(formatResourceMetrics([], true, 77)).toContain("resource_scrape_error 1\n");
  });

  it("have a summary in the older form", () => {
    expect(formatSummary("n", [sample], 0)).toMatchObject({
      node: { nodeName: "n", cpu: { usageCoreNanoSeconds: 1.5e9 } },
      pods: [
        {
          podRef: { name: "p", namespace: "ns", uid: "u" },
          containers: [{ name: "a", startTime: "1970-01-01T00:00:05Z" }, { name: "b" }],
        },
      ],
    });
  });
});
