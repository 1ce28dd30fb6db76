import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSimError } from "../../../common/errors.ts";
import { applyPatch, invalidPatch } from "./apply-patch.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";

const pod = { group: "", version: "v1", kind: "Pod" };
const current = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", labels: { a: "1" } } };
const patch = (type: string, body: unknown, gvk = pod) =>
  applyPatch(`application/${type}`, current, JSON.stringify(body), gvk);
const refusal = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (isSimError(error)) return { status: error.definition.httpStatus, message: error.message };
    throw error;
  }
  return undefined;
};

describe("applyPatch", () => {
  it("applies the three types", () => {
    const wanted = { ...current, metadata: { name: "p", labels: { a: "2" } } };
    expect(
      patch("json-patch+json", [{ op: "replace", path: "/metadata/labels/a", value: "2" }]),
    ).toEqual(wanted);
    expect(patch("merge-patch+json", { metadata: { labels: { a: "2" } } })).toEqual(wanted);
    expect(
      patch("strategic-merge-patch+json; charset=utf-8", { metadata: { labels: { a: "2" } } }),
    ).toEqual(wanted);
    expect(current.metadata.labels).toEqual({ a: "1" });
  });

  it("answers other types with 415 and the accepted list", () => {
    const list =
      "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json";
    const text = `the body of the request was in an unknown format - accepted media types include: ${list}`;
    expect(refusal(() => patch("json", {}))).toEqual({ status: 415, message: text });
    expect(refusal(() => patch("apply-patch+yaml", {}))).toEqual({ status: 415, message: text });
    expect(
      refusal(() =>
        patch("strategic-merge-patch+json", {}, { group: "x.io", version: "v1", kind: "Foo" }),
      ),
    ).toEqual({
      status: 415,
      message:
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json",
    });
  });

  it("refuses text that is no JSON with 400", () => {
    expect(
      refusal(() => applyPatch("application/merge-patch+json", current, "{", pod))?.status,
    ).toBe(400);
  });

  it("refuses values of the wrong type with 422, showing the patch", () => {
    expect(
      refusal(() => patch("strategic-merge-patch+json", { spec: { containers: "x" } })),
    ).toEqual({
      status: 422,
      message:
        ' "" is invalid: patch: Invalid value: "map[spec:map[containers:x]]": json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container',
    });
    expect(refusal(() => patch("merge-patch+json", "x"))?.status).toBe(422);
  });

  it("words fieldValidation=Strict as the real server", () => {
    expect(
      invalidPatch(
        "application/merge-patch+json",
        '{"spec":{"bogus":1}}',
        'strict decoding error: unknown field "spec.bogus"',
      ).message,
    ).toBe(
      ' "" is invalid: patch: Invalid value: "{\\"spec\\":{\\"bogus\\":1}}": strict decoding error: unknown field "spec.bogus"',
    );
  });
});

describe("applyMergePatch", () => {
  // RFC 7396 appendix A.
  it.each([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("makes %j with %j to %j", (target, change, result) => {
    expect(applyMergePatch(target, change)).toEqual(result);
  });

  it("is idempotent and does not change its arguments", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (target, change) => {
        const before = JSON.stringify([target, change]);
        const once = applyMergePatch(target, change);
        expect(applyMergePatch(once, change)).toEqual(once);
        expect(JSON.stringify([target, change])).toBe(before);
      }),
    );
  });
});

describe("applyJsonPatch", () => {
  const rejected = "the server rejected our request due to an error in our request";

  it("adds, removes, moves, copies and tests", () => {
    expect(
      applyJsonPatch({ a: [1, 2], b: { "x/y": 1 } }, [
        { op: "test", path: "/a/0", value: 1 },
        { op: "add", path: "/a/-", value: 3 },
        { op: "remove", path: "/a/0" },
        { op: "copy", from: "/b/x~1y", path: "/c" },
        { op: "move", from: "/b", path: "/d" },
        { op: "replace", path: "/c", value: null },
      ]),
    ).toEqual({ a: [2, 3], c: null, d: { "x/y": 1 } });
  });

  it("replaces the whole document at the empty path", () => {
    expect(applyJsonPatch({ a: 1 }, [{ op: "replace", path: "", value: { b: 2 } }])).toEqual({
      b: 2,
    });
  });

  it.each([
    [{ op: "remove", path: "/nope" }],
    [{ op: "replace", path: "/nope", value: 1 }],
    [{ op: "test", path: "/a", value: 2 }],
    [{ op: "test", path: "/nope", value: null }],
    [{ op: "add", path: "/list/9", value: 1 }],
    [{ op: "add", path: "/list/01", value: 1 }],
    [{ op: "add", path: "/nope/x", value: 1 }],
    [{ op: "add", path: "a", value: 1 }],
    [{ op: "add", path: "/x" }],
    [{ op: "bogus", path: "/a" }],
    [{ op: "copy", path: "/x" }],
    [{ op: "add", path: "/toString/x", value: 1 }],
    [{ op: "add", path: "/__proto__/polluted", value: 1 }],
    [{ op: "add", path: "/list/push/polluted", value: 1 }],
    ["nonsense"],
  ])("refuses %j with 422", (operation) => {
    expect(refusal(() => applyJsonPatch({ a: 1, list: [] }, [operation]))).toEqual({
      status: 422,
      message: rejected,
    });
  });

  it("refuses a document that is no list with 400, and too many operations with 413", () => {
    expect(refusal(() => applyJsonPatch({}, {}))).toEqual({
      status: 400,
      message: "json: cannot unmarshal object into Go value of type jsonpatch.Patch",
    });
    expect(refusal(() => applyJsonPatch({}, Array(10_001).fill({})))).toEqual({
      status: 413,
      message: "The allowed maximum operations in a JSON patch is 10000, got 10001",
    });
  });

  it("stops copies that double the document", () => {
    const doubling = Array.from({ length: 60 }, (_, i) => ({
      op: "copy",
      from: "/a",
      path: `/a/x${i}`,
    }));
    expect(refusal(() => applyJsonPatch({ a: { x: "0123456789" } }, doubling))?.status).toBe(422);
  });

  it("never does more than refuse, and never changes its argument", () => {
    const path = fc.oneof(
      fc.constantFrom("", "/a", "/a/0", "/b/c", "/a/-", "/__proto__/x"),
      fc.string(),
    );
    const operation = fc.record({
      op: fc.constantFrom("add", "remove", "replace", "move", "copy", "test"),
      path,
      from: path,
      value: fc.jsonValue(),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6 }), (operations) => {
        const document = { a: [1], b: { c: {} } };
        refusal(() => applyJsonPatch(document, operations));
        expect(document).toEqual({ a: [1], b: { c: {} } });
      }),
    );
  });
});
