import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseLabelSelector } from "./label-selector.ts";

const labels = { app: "web", tier: "front", n: "5", "example.com/x": "y" };

describe("parseLabelSelector", () => {
  it.each([
    ["", true],
    ["app=web", true],
    ["app==web,tier=front", true],
    ["app!=web", false],
    ["missing!=web", true],
    ["app in (web, api)", true],
    ["app notin (web)", false],
    ["missing notin (web)", true],
    ["app", true],
    ["!app", false],
    ["!missing", true],
    ["n>4,n<6", true],
    ["n>5", false],
    ["example.com/x=y", true],
    ["app=", false],
    ["app in (web,api),!missing,n", true],
  ])("%j selects: %j", (text, selected) => {
    expect(parseLabelSelector(text)(labels)).toBe(selected);
  });

  it.each(["app in web", "=x", "app=web tier=x", "app in (web", "n>x", "a b", "-a=1"])(
    "refuses %j",
    (text) => {
      expect(() => parseLabelSelector(text)).toThrow(/unable to parse requirement/);
    },
  );

  it("answers or refuses any text, without hanging", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab=!<>(), in") }), (text) => {
        try {
          parseLabelSelector(text)(labels);
        } catch (error) {
          expect(String(error)).toContain("unable to parse requirement");
        }
      }),
    );
  });
});
