// Our strategic merge against the genuine one: `kubectl patch --local` runs apimachinery's
// strategicpatch without a server, so it is the reference for results and for refusals.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { applyStrategicMergePatch } from "../../api/kubernetes/patch/strategic-merge.ts";
import { gvkOf } from "../../api/kubernetes/schema/definitions.ts";
import { normalizeObject } from "../../api/kubernetes/schema/normalize.ts";
import { kubectlBinary, runProgram } from "../support/kubectl.ts";

const pod = gvkOf("v1", "Pod");
const folder = mkdtempSync(join(tmpdir(), "strategic-merge-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The genuine result, or undefined where kubectl refuses the patch. */
async function genuine(object: object, patch: object): Promise<object | undefined> {
  const file = join(folder, "object.json");
  writeFileSync(file, JSON.stringify(object));
  const args = ["patch", "--local", "-f", file, "--type=strategic", "-o", "json"];
  const { exitCode, stdout } = await runProgram(
    kubectlBinary(),
    ["--kubeconfig=/dev/null", ...args, "-p", JSON.stringify(patch)],
    { timeoutMs: 20_000 },
  );
  return exitCode === 0 ? JSON.parse(stdout) : undefined;
}

function ours(object: object, patch: object): object | undefined {
  try {
    return applyStrategicMergePatch(object, patch, pod);
  } catch {
    return undefined;
  }
}

const plain = (object: object | undefined) => object && normalizeObject(pod, object);
const podWith = (metadata: object, spec: object) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", ...metadata },
  spec: { containers: [], ...spec },
});

const names = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"), { maxLength: 4 });
const someNames = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"), {
  minLength: 1,
  maxLength: 4,
});
const items = names.chain((keys) =>
  fc.tuple(
    ...keys.map((name) => fc.record({ name: fc.constant(name), value: fc.constantFrom("1", "2") })),
  ),
);
const objects = fc.record({ env: items, finalizers: names, tolerations: names }).map((part) =>
  podWith(
    { finalizers: part.finalizers.map((name) => `x.io/${name}`), labels: { a: "1", b: "2" } },
    {
      containers: [
        { name: "main", env: part.env },
        { name: "side", args: ["x"] },
      ],
      tolerations: part.tolerations.map((key) => ({ key })),
    },
  ),
);

/** Items that change, delete or (seldom) replace, with or without an order beside them. */
const envPatch = someNames.chain((keys) =>
  fc
    .tuple(
      fc.tuple(
        ...keys.map((name) =>
          fc.oneof(
            {
              weight: 4,
              arbitrary: fc.record({ name: fc.constant(name), value: fc.constantFrom("3", "4") }),
            },
            { weight: 2, arbitrary: fc.constant({ name, $patch: "delete" }) },
            { weight: 1, arbitrary: fc.constant({ name, value: null }) },
          ),
        ),
      ),
      fc.option(fc.shuffledSubarray(["a", "b", "c", "d", "e"], { minLength: 3 }), {
        nil: undefined,
      }),
    )
    .map(([env, order]) => ({
      env,
      ...(order && { "$setElementOrder/env": order.map((name) => ({ name })) }),
    })),
);
const patches = fc.record({ env: envPatch, finalizers: names, removed: names }).map((part) => ({
  metadata: {
    finalizers: part.finalizers.map((name) => `x.io/${name}`),
    // Adding and removing one finalizer at once depends on Go's random map order: not compared.
    "$deleteFromPrimitiveList/finalizers": part.removed
      .filter((name) => !part.finalizers.includes(name))
      .map((name) => `x.io/${name}`),
    labels: { a: null, c: "3" },
  },
  spec: { containers: [{ name: "main", ...part.env }], tolerations: [{ key: "z" }] },
}));

describe("strategic merge", () => {
  it("gives what kubectl's own gives, for random pods and patches", async () => {
    const cases = fc.sample(fc.tuple(objects, patches), { numRuns: 60, seed: 99 });
    let applied = 0;
    for (const [object, patch] of cases) {
      const wanted = await genuine(object, patch);
      if (wanted) applied += 1;
      expect([object, patch, plain(ours(object, patch))]).toEqual([object, patch, plain(wanted)]);
    }
    // Most random orders contradict nothing: otherwise the comparison would compare refusals.
    expect(applied).toBeGreaterThan(20);
  });

  it.each([
    [
      "retainKeys",
      {
        spec: {
          volumes: [{ name: "v", hostPath: { path: "/x" }, $retainKeys: ["name", "hostPath"] }],
        },
      },
    ],
    [
      "a bad retainKeys",
      { spec: { volumes: [{ name: "v", hostPath: { path: "/x" }, $retainKeys: ["name"] }] } },
    ],
    [
      "replacing a list",
      { spec: { containers: [{ name: "z", image: "i" }, { $patch: "replace" }] } },
    ],
    ["replacing a map", { metadata: { labels: { $patch: "replace", z: "1" } } }],
    ["deleting a map", { metadata: { labels: { $patch: "delete" } } }],
    ["an unknown directive", { metadata: { labels: { $patch: "bogus" } } }],
    ["a missing merge key", { spec: { containers: [{ image: "x" }] } }],
    [
      "an order alone",
      { spec: { "$setElementOrder/containers": [{ name: "side" }, { name: "main" }] } },
    ],
    [
      "an order with strangers",
      {
        spec: {
          "$setElementOrder/containers": [{ name: "q" }, { name: "main" }],
          containers: [{ name: "main", image: "x" }],
        },
      },
    ],
    ["new lists with nulls", { spec: { initContainers: [{ name: "i", image: "x", args: null }] } }],
    ["a new map with a directive", { metadata: { annotations: { $patch: "delete" } } }],
    [
      "ports that differ in protocol",
      { spec: { containers: [{ name: "main", ports: [{ containerPort: 53, protocol: "TCP" }] }] } },
    ],
    ["a list set to null", { spec: { volumes: null } }],
    ["host aliases by ip", { spec: { hostAliases: [{ ip: "1.1.1.1", hostnames: ["b"] }] } }],
  ])("agrees on %s", async (_name, patch) => {
    const object = podWith(
      { labels: { a: "1" } },
      {
        containers: [
          { name: "main", image: "m", ports: [{ containerPort: 53, protocol: "UDP" }] },
          { name: "side", image: "s" },
        ],
        volumes: [{ name: "v", emptyDir: {} }],
        hostAliases: [{ ip: "1.1.1.1", hostnames: ["a"] }],
      },
    );
    expect(plain(ours(object, patch))).toEqual(plain(await genuine(object, patch)));
  });
});
