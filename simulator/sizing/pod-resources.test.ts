import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Container, PodSpec } from "../../proto/kubernetes/gen/types.ts";
import {
  containerResources,
  podLimits,
  podRequestsWithOverhead,
  sandboxResources,
} from "./pod-resources.ts";
import { oomScoreAdj, qosClass } from "./quality-of-service.ts";

const mib = 1024 * 1024;

function container(limits?: Record<string, string>, more: Partial<Container> = {}): Container {
  return { name: "c", ...(limits ? { resources: { limits } } : {}), ...more };
}

describe("podLimits", () => {
  it.each<[string, PodSpec, object]>([
    ["no limits", { containers: [container()] }, {}],
    [
      "500m, 256Mi",
      { containers: [container({ cpu: "500m", memory: "256Mi" })] },
      { cpuMillis: 500, memoryBytes: 256 * mib },
    ],
    [
      "2.5, 4Gi",
      { containers: [container({ cpu: "2.5", memory: "4Gi" })] },
      { cpuMillis: 2500, memoryBytes: 4096 * mib },
    ],
    [
      "two containers of 1, 512Mi",
      {
        containers: [
          container({ cpu: "1", memory: "512Mi" }),
          container({ cpu: "1", memory: "512Mi" }),
        ],
      },
      { cpuMillis: 2000, memoryBytes: 1024 * mib },
    ],
    [
      "one with 300Mi and one without",
      { containers: [container({ memory: "300Mi" }), container()] },
      { memoryBytes: 300 * mib },
    ],
    [
      "an init container larger than the app, per resource",
      {
        containers: [container({ cpu: "1", memory: "128Mi" })],
        initContainers: [container({ cpu: "500m", memory: "1Gi" })],
      },
      { cpuMillis: 1000, memoryBytes: 1024 * mib },
    ],
    [
      "a sidecar beside the app",
      {
        containers: [container({ memory: "100Mi" })],
        initContainers: [container({ memory: "50Mi" }, { restartPolicy: "Always" })],
      },
      { memoryBytes: 150 * mib },
    ],
    [
      "an init container on top of the sidecar before it",
      {
        containers: [container({ memory: "100Mi" })],
        initContainers: [
          container({ memory: "50Mi" }, { restartPolicy: "Always" }),
          container({ memory: "200Mi" }),
        ],
      },
      { memoryBytes: 250 * mib },
    ],
    [
      "pod-level limits instead of the sum",
      {
        containers: [container({ memory: "100Mi" })],
        resources: { limits: { memory: "1Gi" } },
      },
      { memoryBytes: 1024 * mib },
    ],
  ])("counts %s", (_name, spec, expected) => {
    expect(podLimits(spec)).toEqual(expected);
  });

  it("is the sum of app limits when there are no init containers", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 64_000 }), { minLength: 1 }), (millis) => {
        const spec = { containers: millis.map((cpu) => container({ cpu: `${cpu}m` })) };
        expect(podLimits(spec).cpuMillis).toBe(millis.reduce((sum, each) => sum + each, 0));
      }),
    );
  });
});

describe("sandboxResources", () => {
  it("sends quota, period, shares and memory as the kubelet does, without the overhead", () => {
    const spec: PodSpec = {
      containers: [container({ cpu: "500m", memory: "256Mi" })],
      overhead: { memory: "600Mi" },
    };
    expect(sandboxResources(spec)).toEqual({
      cpuQuotaUs: 50_000,
      cpuPeriodUs: 100_000,
      cpuShares: 512,
      memoryBytes: 268_435_456,
    });
  });

  it("has only the least shares when nobody asks for anything", () => {
    expect(sandboxResources({ containers: [container()] })).toEqual({ cpuShares: 2 });
  });

  it("counts the overhead in requests for admission", () => {
    const spec: PodSpec = {
      containers: [container({ memory: "256Mi" })],
      overhead: { memory: "600Mi" },
    };
    expect(podRequestsWithOverhead(spec).memoryBytes).toBe(856 * mib);
  });
});

describe("containerResources", () => {
  it("takes shares from the request and the quota from the limit", () => {
    expect(
      containerResources({ resources: { requests: { cpu: "250m" }, limits: { cpu: "2" } } }),
    ).toEqual({ cpuShares: 256, cpuQuotaUs: 200_000, cpuPeriodUs: 100_000 });
  });

  it("keeps the quota above the kernel's least", () => {
    expect(containerResources({ resources: { limits: { cpu: "1m" } } }).cpuQuotaUs).toBe(1_000);
  });
});

describe("quality of service", () => {
  it.each<[string, Container, string, number]>([
    ["nothing", container(), "BestEffort", 1000],
    ["both limits", container({ cpu: "1", memory: "1Gi" }), "Guaranteed", -997],
    ["only memory", container({ memory: "4Gi" }), "Burstable", 750],
    ["only cpu", container({ cpu: "1" }), "Burstable", 999],
  ])("of a pod with %s", (_name, only, qos, score) => {
    const spec = { containers: [only] };
    expect(qosClass(spec)).toBe(qos);
    expect(oomScoreAdj(spec, only, 16 * 1024 * mib)).toBe(score);
  });
});
