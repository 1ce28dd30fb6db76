import { describe, expect, it } from "vitest";
import type { Pod } from "../../proto/kubernetes/gen/types.ts";
import { podQosClass } from "./pod-qos.ts";

const pod = (...resources: object[]): Pod => ({
  spec: { containers: resources.map((r, i) => ({ name: `c${i}`, image: "x", resources: r })) },
});

describe("podQosClass", () => {
  const both = { cpu: "1", memory: "1Gi" };
  it.each([
    ["BestEffort", pod({})],
    ["Guaranteed", pod({ limits: both, requests: both })],
    ["Guaranteed", pod({ limits: both, requests: { cpu: "1000m", memory: "1024Mi" } })],
    ["Burstable", pod({ limits: { cpu: "1" }, requests: { cpu: "1" } })],
    ["Burstable", pod({ limits: both, requests: both }, {})],
    ["Burstable", pod({ requests: { memory: "1Gi" } })],
  ])("is %s", (expected, subject) => {
    expect(podQosClass(subject)).toBe(expected);
  });
});
