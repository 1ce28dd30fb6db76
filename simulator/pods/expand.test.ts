import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expand } from "./expand.ts";

const values: Record<string, string> = { VAR_A: "A", VAR_B: "B", VAR_REF: "$(VAR_A)", EMPTY: "" };
const lookUp = (name: string) => (Object.hasOwn(values, name) ? values[name] : undefined);

// The cases of kubernetes third_party/forked/golang/expansion/expand_test.go.
describe("expand", () => {
  it.each([
    ["$(VAR_A)", "A"],
    ["___$(VAR_B)___", "___B___"],
    ["$(VAR_A)$(VAR_B)", "AB"],
    ["$(VAR_REF)", "$(VAR_A)"],
    ["$$(VAR_A)", "$(VAR_A)"],
    ["$$$(VAR_A)", "$A"],
    ["$$$$(VAR_A)", "$$(VAR_A)"],
    ["$VAR_A", "$VAR_A"],
    ["$(MISSING)", "$(MISSING)"],
    ["$(EMPTY)x", "x"],
    ["$(VAR_A", "$(VAR_A"],
    ["foo$", "foo$"],
    ["$()", "$()"],
    ["f\\$(VAR_A)", "f\\A"],
  ])("turns %j into %j", (text, expected) => {
    expect(expand(text, lookUp)).toBe(expected);
  });

  it("leaves text without dollars alone", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!text.includes("$"));
        expect(expand(text, lookUp)).toBe(text);
      }),
    );
  });
});
