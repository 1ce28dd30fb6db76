import { describe, expect, it } from "vitest";
import { explainSize } from "./explain-size.ts";
import { parsePods } from "./read-pods.ts";

const one = (text: string) => parsePods(text, "f")[0]!;
const pod = (spec: object) =>
  one(JSON.stringify({ kind: "Pod", apiVersion: "v1", metadata: { name: "p" }, spec }));
const container = (name: string, limits?: object, requests?: object) => ({
  name,
  image: "i",
  resources: { ...(limits && { limits }), ...(requests && { requests }) },
});

describe("explainSize", () => {
  const preview = "kata-mshv-vm-isolation";
  const ga = "kata-vm-isolation";

  it.each([
    ["no limits", [container("a")], [], [1, 2048], [1, 512]],
    [
      "half a core, 256Mi",
      [container("a", { cpu: "500m", memory: "256Mi" })],
      [],
      [2, 2304],
      [1, 256],
    ],
    [
      "two containers",
      [container("a", { cpu: 1, memory: "512Mi" }), container("b", { cpu: "1", memory: "512Mi" })],
      [],
      [3, 3072],
      [2, 1024],
    ],
    [
      "an init container larger than the app",
      [container("a", { cpu: "500m", memory: "128Mi" })],
      [container("i", { cpu: "3", memory: "1Gi" })],
      [4, 3072],
      [3, 1024],
    ],
  ])("sizes %s by both profiles", (_, containers, initContainers, forPreview, forGa) => {
    const input = pod({ containers, initContainers });
    for (const [name, [vcpus, memoryMib]] of [
      [preview, forPreview],
      [ga, forGa],
    ] as [string, number[]][]) {
      expect(explainSize(input, name)).toMatchObject({ vcpus, memoryMib, sandboxed: true });
    }
  });

  it("ignores requests and says so", () => {
    const size = explainSize(
      pod({ runtimeClassName: preview, containers: [container("a", undefined, { cpu: "4" })] }),
    );
    expect(size).toMatchObject({ vcpus: 1, memoryMib: 2048 });
    expect(size.warnings).toEqual(["container a requests cpu 4: only limits size a sandbox"]);
  });

  it("has no sandbox without a RuntimeClass", () => {
    expect(explainSize(pod({ containers: [container("a")] })).sandboxed).toBe(false);
  });

  it("refuses what the shim would refuse, in the same words", () => {
    const small = pod({ containers: [container("a", { memory: "100Mi" })] });
    expect(() => explainSize(small, ga)).toThrow(
      "pod memory limit too low: minimum 128MiB, got 100MiB",
    );
  });

  it("names the known classes when it does not know one", () => {
    expect(() => explainSize(pod({ containers: [container("a")] }), "gvisor")).toThrow(
      expect.objectContaining({ code: "USAGE", hint: expect.stringContaining(preview) }),
    );
  });
});

describe("parsePods", () => {
  it("finds the pods of lists and of things that make pods", () => {
    const spec = { containers: [{ name: "a" }] };
    const text = [
      { kind: "Service", metadata: { name: "s" }, spec: {} },
      { kind: "Deployment", metadata: { name: "d" }, spec: { template: { spec } } },
      {
        kind: "CronJob",
        metadata: { name: "c" },
        spec: { jobTemplate: { spec: { template: { spec } } } },
      },
      { kind: "List", items: [{ kind: "Pod", metadata: { generateName: "g-" }, spec }] },
    ]
      .map((document) => JSON.stringify(document))
      .join("\n---\n");
    expect(parsePods(text, "f").map(({ name }) => name)).toEqual([
      "deployment/d",
      "cronjob/c",
      "pod/g-",
    ]);
  });

  it.each([
    [
      "a bad quantity",
      "kind: Pod\nspec: {containers: [{name: a, resources: {limits: {cpu: lots}}}]}",
      "containers.0.resources.limits.cpu",
    ],
    ["no containers", "kind: Pod\nspec: {}", "containers"],
    ["broken YAML", "kind: [", "not valid YAML"],
    ["a text", "hello", "cannot be read"],
  ])("refuses %s and says where", (_, text, where) => {
    try {
      parsePods(text, "pod.yaml");
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: "INPUT_INVALID" });
      expect(`${error} ${(error as Error).cause}`).toContain(where);
      expect(String(error)).toContain("pod.yaml");
    }
  });
});
