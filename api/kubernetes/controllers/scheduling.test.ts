import { describe, expect, it } from "vitest";
import type { Node, Pod } from "../../../proto/kubernetes/gen/types.ts";
import { nodeManifest, podManifest } from "../context.fixture.ts";
import { schedulePod } from "./scheduling.ts";

const room = { cpu: "4", memory: "8Gi", pods: "30" };
const node = (name: string, spec: object = {}, allocatable: object = room) =>
  nodeManifest(name, allocatable, spec) as unknown as Node;
const pod = (spec: object = {}) => podManifest("p", spec) as unknown as Pod;
const asking = (requests: object, more: object = {}) =>
  pod({ containers: [{ name: "c", image: "x", resources: { requests } }], ...more });

describe("schedulePod", () => {
  it("takes the emptiest node", () => {
    const decision = schedulePod(pod(), [
      { node: node("a"), pods: [pod()] },
      { node: node("b"), pods: [] },
    ]);
    expect(decision).toEqual({ nodeName: "b" });
  });

  it("says that there is no node", () => {
    expect(schedulePod(pod(), [])).toMatchObject({
      message: "no nodes available to schedule pods",
    });
  });

  it.each<[string, Pod, Node, string]>([
    [
      "a selector nobody matches",
      pod({ nodeSelector: { disk: "ssd" } }),
      node("a"),
      "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    ],
    [
      "a taint",
      pod(),
      node("a", { taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }] }),
      "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    ],
    [
      "a cordoned node",
      pod(),
      node("a", { unschedulable: true }),
      "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    ],
    [
      "more than the node has",
      asking({ cpu: "5", memory: "9Gi" }),
      node("a"),
      "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    ],
    [
      "overhead that no longer fits",
      asking({ memory: "7900Mi" }, { overhead: { memory: "600Mi" } }),
      node("a"),
      "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    ],
  ])("explains %s", (_what, wanted, only, message) => {
    expect(schedulePod(wanted, [{ node: only, pods: [] }])).toEqual({
      nodeName: undefined,
      message,
    });
  });

  it("counts what already runs, and says that evicting would help in principle", () => {
    const running = [asking({ cpu: "3" })];
    expect(schedulePod(asking({ cpu: "2" }), [{ node: node("a"), pods: running }])).toMatchObject({
      message:
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    });
    expect(schedulePod(asking({ cpu: "1" }), [{ node: node("a"), pods: running }])).toEqual({
      nodeName: "a",
    });
  });

  it("takes an init container that is larger than the app for the size", () => {
    const large = asking(
      { cpu: "1" },
      { initContainers: [{ name: "i", image: "x", resources: { requests: { cpu: "5" } } }] },
    );
    expect(schedulePod(large, [{ node: node("a"), pods: [] }])).toMatchObject({
      message: expect.stringContaining("Insufficient cpu"),
    });
  });

  it("stops at the number of pods a node takes", () => {
    const full = node("a", {}, { ...room, pods: "1" });
    expect(schedulePod(pod(), [{ node: full, pods: [pod()] }])).toMatchObject({
      message: expect.stringContaining("1 Too many pods"),
    });
  });

  it("honours tolerations and required node affinity", () => {
    const tainted = node("a", { taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }] });
    const affinity = {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            {
              matchExpressions: [
                { key: "kubernetes.io/hostname", operator: "In", values: ["a", "z"] },
              ],
            },
          ],
        },
      },
    };
    const wanted = pod({ tolerations: [{ key: "gpu", operator: "Exists" }], affinity });
    const choice = schedulePod(wanted, [
      { node: tainted, pods: [] },
      { node: node("b"), pods: [] },
    ]);
    expect(choice).toEqual({ nodeName: "a" });
  });

  it("keeps host ports apart", () => {
    const ports = [{ containerPort: 80, hostPort: 80, protocol: "TCP" }];
    const web = () => pod({ containers: [{ name: "c", image: "x", ports }] });
    expect(schedulePod(web(), [{ node: node("a"), pods: [web()] }])).toMatchObject({
      message: expect.stringContaining("didn't have free ports"),
    });
  });
});
