import { describe, expect, it } from "vitest";
import { podManifest } from "./context.fixture.ts";
import { parseFieldSelector } from "./field-selector.ts";
import { events } from "./resources/events.ts";
import { nodes } from "./resources/nodes.ts";
import { pods } from "./resources/pods.ts";

const pod = { ...podManifest("p", { nodeName: "n1" }), status: { phase: "Running" } };

describe("parseFieldSelector", () => {
  it.each([
    ["", true],
    ["metadata.name=p", true],
    ["spec.nodeName=n1,status.phase!=Succeeded,status.phase!=Failed", true],
    ["status.phase==Pending", false],
    ["spec.hostNetwork=false", true],
    ["status.podIP=", true],
  ])("%j matches: %j", (text, matches) => {
    expect(parseFieldSelector(text, pods).matches(pod)).toBe(matches);
  });

  it("refuses a field the resource does not offer", () => {
    expect(() => parseFieldSelector("spec.image=x", pods)).toThrow(
      "field label not supported: spec.image",
    );
    expect(() => parseFieldSelector("metadata.namespace=x", nodes)).toThrow(/not supported/);
  });

  it("refuses a term without an operator", () => {
    expect(() => parseFieldSelector("metadata.name", pods)).toThrow(/invalid selector/);
  });

  it("reads escaped commas in values", () => {
    const event = {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: "e" },
      involvedObject: { fieldPath: "spec.containers{a,b}" },
    };
    const selector = parseFieldSelector(
      "involvedObject.fieldPath=spec.containers{a\\,b},metadata.name=e",
      events,
    );
    expect(selector.matches(event)).toBe(true);
    expect(selector.requiredName).toBe("e");
  });
});
