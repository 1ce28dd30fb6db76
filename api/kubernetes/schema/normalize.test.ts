import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseNano } from "../../../common/quantity.ts";
import { normalizeObject } from "./normalize.ts";
import { canonicalQuantity } from "./quantity-form.ts";

describe("normalizeObject", () => {
  it("drops unknown fields and nulls, and makes quantities and times canonical", () => {
    expect(
      normalizeObject({ group: "", version: "v1", kind: "Pod" }, {
        metadata: {
          name: "p",
          creationTimestamp: null,
          deletionTimestamp: "2025-01-01T02:00:00+02:00",
        },
        spec: {
          bogus: 1,
          nodeSelector: { a: "b" },
          containers: [{ name: "c", resources: { limits: { cpu: 0.5, memory: "1024Mi" } } }],
        },
      } as object),
    ).toEqual({
      metadata: { name: "p", deletionTimestamp: "2025-01-01T00:00:00Z" },
      spec: {
        nodeSelector: { a: "b" },
        containers: [{ name: "c", resources: { limits: { cpu: "500m", memory: "1Gi" } } }],
      },
    });
  });

  it("gives micro times six digits", () => {
    expect(
      normalizeObject(
        { group: "coordination.k8s.io", version: "v1", kind: "Lease" },
        { spec: { renewTime: "2025-01-01T00:00:00.5Z" } },
      ),
    ).toEqual({ spec: { renewTime: "2025-01-01T00:00:00.500000Z" } });
  });

  it("keeps any key of a map, even __proto__", () => {
    const labels = JSON.parse('{"__proto__":"x"}');
    const result = normalizeObject(
      { group: "", version: "v1", kind: "Pod" },
      { metadata: { labels } },
    );
    expect(Object.entries(result.metadata.labels)).toEqual([["__proto__", "x"]]);
  });
});

describe("canonicalQuantity", () => {
  it.each([
    ["1000m", "1"],
    ["0.5", "500m"],
    ["1.5", "1500m"],
    ["1000", "1k"],
    ["128000000", "128M"],
    ["1500000", "1500k"],
    ["1024", "1024"],
    ["1024Mi", "1Gi"],
    ["1.5Gi", "1536Mi"],
    ["0.5Mi", "512Ki"],
    ["0.5Ki", "512"],
    ["0Gi", "0"],
    ["1e3", "1e3"],
    ["1E3", "1e3"],
    ["100m", "100m"],
    ["0.1m", "100u"],
    ["-2048Ki", "-2Mi"],
  ])("makes %s to %s", (text, canonical) => {
    expect(canonicalQuantity(text)).toBe(canonical);
  });

  it("keeps the value and is stable", () => {
    const suffix = fc.constantFrom("", "m", "k", "M", "G", "Ki", "Mi", "Gi", "u", "e3");
    fc.assert(
      fc.property(fc.integer({ min: -1e6, max: 1e6 }), suffix, (n, unit) => {
        const canonical = canonicalQuantity(`${n}${unit}`) ?? "";
        expect(parseNano(canonical)).toBe(parseNano(`${n}${unit}`));
        expect(canonicalQuantity(canonical)).toBe(canonical);
      }),
    );
  });
});

describe("zero values", () => {
  const pod = { group: "", version: "v1", kind: "Pod" };

  it("go where Go has no pointer, and stay where it has one", () => {
    expect(
      normalizeObject(pod, {
        metadata: { name: "p", labels: {}, finalizers: [], generation: 0 },
        spec: {
          hostNetwork: false,
          hostname: "",
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 0,
          securityContext: { runAsUser: 0 },
          containers: [
            { name: "", args: [], tty: false, env: [{ name: "A", value: "" }], resources: {} },
          ],
          volumes: [{ name: "v", emptyDir: {} }],
        },
        status: {},
      }),
    ).toEqual({
      metadata: { name: "p" },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        securityContext: { runAsUser: 0 },
        containers: [{ name: "", env: [{ name: "A" }], resources: {} }],
        volumes: [{ name: "v", emptyDir: {} }],
      },
      status: {},
    });
  });

  it("is idempotent", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const once = normalizeObject(pod, { metadata: value, spec: value });
        expect(normalizeObject(pod, once)).toEqual(once);
      }),
    );
  });
});
