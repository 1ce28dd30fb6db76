import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSimError } from "../../../common/errors.ts";
import { decodeBody } from "./body.ts";
import { duplicateFields, nestingDepth } from "./duplicate-keys.ts";

const json = (text: string) => decodeBody("application/json", Buffer.from(text));

describe("decodeBody", () => {
  it("reads JSON, with and without a Content-Type", () => {
    expect(json('{"kind":"Pod"}').object).toEqual({ kind: "Pod" });
    expect(decodeBody("", Buffer.from("{}")).object).toEqual({});
    expect(decodeBody("application/json; charset=utf-8", Buffer.from("{}")).object).toEqual({});
  });

  it("names duplicate fields by their path", () => {
    expect(
      json(
        '{"spec":{"a":1,"a":2,"containers":[{},{"image":"x","image":"y","i\\u006dage":"z"}]},"spec":{}}',
      ),
    ).toMatchObject({
      duplicateFields: [
        'duplicate field "spec.a"',
        'duplicate field "spec.containers[1].image"',
        'duplicate field "spec"',
      ],
    });
  });

  it("reads YAML and its duplicates", () => {
    expect(
      decodeBody("application/yaml", Buffer.from("kind: Pod\nspec:\n  a: 1\n")).object,
    ).toEqual({
      kind: "Pod",
      spec: { a: 1 },
    });
    const { duplicateFields } = decodeBody("application/yaml", Buffer.from("a: 1\na: 2\n"));
    expect(duplicateFields).toHaveLength(1);
  });

  it("stops YAML alias bombs", () => {
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
    for (let i = 1; i < 9; i += 1) {
      const name = String.fromCharCode(97 + i);
      const before = String.fromCharCode(96 + i);
      bomb.push(`${name}: &${name} [${Array(9).fill(`*${before}`).join(",")}]`);
    }
    expect(() => decodeBody("application/yaml", Buffer.from(bomb.join("\n")))).toThrow(
      /yaml parse error/,
    );
  });

  it("answers other types with 415 and the list", () => {
    const refuse = () => decodeBody("text/plain", Buffer.from("x"));
    expect(refuse).toThrow(
      "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    );
  });

  it("refuses broken and endless JSON", () => {
    expect(() => json("{")).toThrow(/couldn't get version\/kind; json parse error/);
    expect(() => json("[".repeat(100_000))).toThrow(/nests deeper/);
  });

  it("never does more than refuse", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom("application/json", "application/yaml"),
        (text, type) => {
          try {
            decodeBody(type, Buffer.from(text));
          } catch (error) {
            expect(isSimError(error)).toBe(true);
          }
        },
      ),
    );
  });
});

describe("duplicateFields", () => {
  it("finds none in what JSON.stringify writes, and sees its depth", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(duplicateFields(text)).toEqual([]);
        expect(nestingDepth(text)).toBe(depthOf(JSON.parse(text)));
      }),
    );
  });
});

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
