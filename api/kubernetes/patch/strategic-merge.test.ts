import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalizeObject } from "../schema/normalize.ts";
import { applyStrategicMergePatch } from "./strategic-merge.ts";

const pod = { group: "", version: "v1", kind: "Pod" };
const node = { group: "", version: "v1", kind: "Node" };
const merge = (current: object, patch: unknown, gvk = pod) =>
  applyStrategicMergePatch(current, patch, gvk);

describe("maps", () => {
  it("merge, and null deletes", () => {
    expect(
      merge(
        { metadata: { labels: { a: "1", b: "2" } } },
        { metadata: { labels: { b: null, c: "3", d: null } } },
      ),
    ).toEqual({ metadata: { labels: { a: "1", c: "3" } } });
  });

  it("are replaced or emptied by $patch", () => {
    const current = { metadata: { labels: { a: "1" } } };
    expect(merge(current, { metadata: { labels: { $patch: "replace", b: "2" } } })).toEqual({
      metadata: { labels: { b: "2" } },
    });
    expect(merge(current, { metadata: { labels: { $patch: "delete" } } })).toEqual({
      metadata: { labels: {} },
    });
    expect(() => merge(current, { metadata: { labels: { $patch: "x" } } })).toThrow(
      "unknown patch type: x",
    );
  });

  it("keep only what $retainKeys names", () => {
    const current = {
      spec: {
        volumes: [
          { name: "v", emptyDir: {} },
          { name: "w", emptyDir: {} },
        ],
      },
    };
    expect(
      merge(current, {
        spec: {
          volumes: [{ name: "v", hostPath: { path: "/x" }, $retainKeys: ["name", "hostPath"] }],
        },
      }),
    ).toEqual({
      spec: {
        volumes: [
          { name: "v", hostPath: { path: "/x" } },
          { name: "w", emptyDir: {} },
        ],
      },
    });
    expect(() =>
      merge(current, { spec: { volumes: [{ name: "v", hostPath: {}, $retainKeys: ["name"] }] } }),
    ).toThrow("invalid patch format of retainKeys");
  });

  it("are taken without nulls and directives where there was none", () => {
    expect(
      merge({}, { metadata: { annotations: { a: null, b: "1" }, labels: { $patch: "delete" } } }),
    ).toEqual({ metadata: { annotations: { b: "1" } } });
  });
});

describe("lists", () => {
  const containers = (...items: object[]) => ({ spec: { containers: items } });

  it("merge by key and keep what the patch does not name", () => {
    expect(
      merge(
        containers({ name: "a", image: "1", args: ["x", "y"] }, { name: "b", image: "2" }),
        containers({ name: "a", image: "3", args: ["z"] }),
      ),
    ).toEqual(containers({ name: "a", image: "3", args: ["z"] }, { name: "b", image: "2" }));
  });

  it("are replaced without a strategy, such as tolerations and taints", () => {
    expect(
      merge({ spec: { tolerations: [{ key: "a" }] } }, { spec: { tolerations: [{ key: "b" }] } }),
    ).toEqual({ spec: { tolerations: [{ key: "b" }] } });
  });

  it("of ports merge by containerPort alone", () => {
    expect(
      merge(
        containers({ name: "a", ports: [{ containerPort: 53, protocol: "UDP" }] }),
        containers({ name: "a", ports: [{ containerPort: 53, protocol: "TCP" }] }),
      ),
    ).toEqual(containers({ name: "a", ports: [{ containerPort: 53, protocol: "TCP" }] }));
  });

  it("of conditions merge by type, as the node agent patches them", () => {
    expect(
      merge(
        {
          status: {
            conditions: [
              { type: "Ready", status: "False" },
              { type: "DiskPressure", status: "False" },
            ],
          },
        },
        { status: { conditions: [{ type: "Ready", status: "True" }] } },
        node,
      ),
    ).toEqual({
      status: {
        conditions: [
          { type: "Ready", status: "True" },
          { type: "DiskPressure", status: "False" },
        ],
      },
    });
  });

  it("drop items by $patch: delete and start anew by $patch: replace", () => {
    const current = containers({ name: "a", env: [{ name: "A" }, { name: "B" }] });
    // As genuine Go: the new item comes before the server-only one.
    expect(
      merge(
        current,
        containers({ name: "a", env: [{ name: "A", $patch: "delete" }, { name: "C" }] }),
      ),
    ).toEqual(containers({ name: "a", env: [{ name: "C" }, { name: "B" }] }));
    expect(
      merge(current, containers({ name: "a", env: [{ name: "Z" }, { $patch: "replace" }] })),
    ).toEqual(containers({ name: "a", env: [{ name: "Z" }] }));
  });

  it("of scalars merge as sets; new ones come first and deletions are a parallel list", () => {
    expect(
      merge(
        { metadata: { finalizers: ["a", "b"] } },
        { metadata: { finalizers: ["c"], "$deleteFromPrimitiveList/finalizers": ["a"] } },
      ),
    ).toEqual({ metadata: { finalizers: ["c", "b"] } });
    expect(
      merge({ metadata: {} }, { metadata: { "$deleteFromPrimitiveList/finalizers": ["a"] } }),
    ).toEqual({ metadata: {} });
  });

  it("obey $setElementOrder; server-only items keep their relative place", () => {
    expect(
      merge(
        containers(
          { name: "a", image: "1" },
          { name: "side", image: "s" },
          { name: "b", image: "2" },
        ),
        {
          spec: {
            "$setElementOrder/containers": [{ name: "b" }, { name: "a" }],
            containers: [{ name: "a", image: "3" }],
          },
        },
      ),
    ).toEqual(
      containers(
        { name: "side", image: "s" },
        { name: "b", image: "2" },
        { name: "a", image: "3" },
      ),
    );
  });

  it("take kubectl set image's patch", () => {
    expect(
      merge(containers({ name: "c", image: "busybox:1" }), {
        spec: {
          "$setElementOrder/containers": [{ name: "c" }],
          containers: [{ image: "busybox:2", name: "c" }],
        },
      }),
    ).toEqual(containers({ name: "c", image: "busybox:2" }));
  });

  it("refuse items without their merge key and lists out of order", () => {
    expect(() => merge(containers({ name: "a" }), containers({ image: "x" }))).toThrow(
      "map: map[image:x] does not contain declared merge key: name",
    );
    expect(() =>
      merge(containers({ name: "a" }, { name: "b" }), {
        spec: {
          "$setElementOrder/containers": [{ name: "a" }, { name: "b" }],
          containers: [{ name: "b" }, { name: "a" }],
        },
      }),
    ).toThrow("doesn't match $setElementOrder list");
    expect(() => merge(containers({ name: "a" }), containers([]))).toThrow(
      "lists of lists are not supported",
    );
  });
});

describe("properties", () => {
  const names = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"), { maxLength: 5 });
  const container = (name: string) =>
    fc.record(
      {
        name: fc.constant(name),
        image: fc.string(),
        env: names.map((keys) => keys.map((key) => ({ name: key }))),
      },
      { requiredKeys: ["name"] },
    );
  const podOf = names.chain((keys) =>
    fc.tuple(...keys.map(container)).map((items) => ({ spec: { containers: items } })),
  );

  it("an empty patch changes nothing, and no patch changes its arguments", () => {
    fc.assert(
      fc.property(podOf, podOf, (current, patch) => {
        const before = JSON.stringify([current, patch]);
        expect(merge(current, {})).toEqual(current);
        merge(current, patch);
        expect(JSON.stringify([current, patch])).toBe(before);
      }),
    );
  });

  it("a list merge holds the keys of both sides, once, patch items in the patch's order", () => {
    fc.assert(
      fc.property(podOf, podOf, (current, patch) => {
        const names = (merge(current, patch) as typeof current).spec.containers.map((c) => c.name);
        const theirs = patch.spec.containers.map((c) => c.name);
        expect(new Set(names)).toEqual(
          new Set([...current.spec.containers.map((c) => c.name), ...theirs]),
        );
        expect(names.filter((name) => theirs.includes(name))).toEqual(theirs);
        expect(new Set(names).size).toBe(names.length);
      }),
    );
  });

  it("a patch is idempotent up to its own order", () => {
    fc.assert(
      fc.property(podOf, podOf, (current, patch) => {
        const once = merge(current, patch);
        expect(merge(merge(once, patch), patch)).toEqual(merge(once, patch));
      }),
    );
  });

  it("with the order of the wanted list, the wanted object comes out", () => {
    fc.assert(
      fc.property(podOf, podOf, (current, wanted) => {
        const goes = current.spec.containers.filter(
          (c) => !wanted.spec.containers.some((w) => w.name === c.name),
        );
        const patch = {
          spec: {
            "$setElementOrder/containers": wanted.spec.containers.map(({ name }) => ({ name })),
            containers: [
              ...wanted.spec.containers.map((c) => ({
                ...c,
                env: [...(c.env ?? []), { $patch: "replace" }],
              })),
              ...goes.map(({ name }) => ({ name, $patch: "delete" })),
            ],
          },
        };
        const result = merge(current, patch) as typeof wanted;
        expect(result.spec.containers.map((c) => c.name)).toEqual(
          wanted.spec.containers.map((c) => c.name),
        );
      }),
    );
  });

  it("no key can reach a prototype", () => {
    const patch = JSON.parse(
      '{"metadata":{"labels":{"__proto__":{"polluted":"yes"}}},"__proto__":{"polluted":1}}',
    );
    const result = merge({ metadata: { labels: { a: "b" } } }, patch);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect((result as { polluted?: unknown }).polluted).toBeUndefined();
    expect(normalizeObject(pod, result)).not.toHaveProperty("polluted");
  });
});
