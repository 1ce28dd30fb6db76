/** Field selectors: "spec.nodeName=x,status.phase!=Failed". Source: apimachinery pkg/fields/selector.go. */
import { apiError } from "../errors.ts";
import { fieldText, type ResourceDefinition } from "./define-resource.ts";
import type { KubeObject } from "./object.ts";

export interface FieldSelector {
  matches(object: KubeObject): boolean;
  /** Set when the selector demands one name: watches of a single object. */
  readonly requiredName: string | undefined;
  readonly empty: boolean;
}

export function parseFieldSelector(text: string, definition: ResourceDefinition): FieldSelector {
  const requirements = splitTerms(text).map((term) => parseTerm(term, text));
  const tests = requirements.map(({ path, equal, value }) => {
    const read = reader(path, definition);
    return (object: KubeObject) => (read(object) === value) === equal;
  });
  return {
    matches: (object) => tests.every((test) => test(object)),
    requiredName: requirements.find((r) => r.path === "metadata.name" && r.equal)?.value,
    empty: tests.length === 0,
  };
}

function reader(path: string, definition: ResourceDefinition): (object: KubeObject) => string {
  const known = definition.fieldSelectors[path];
  if (known !== undefined) return known;
  if (path === "metadata.name" || (path === "metadata.namespace" && definition.namespaced)) {
    return fieldText(path);
  }
  throw apiError("BAD_REQUEST", `field label not supported: ${path}`);
}

function parseTerm(term: string, whole: string): { path: string; equal: boolean; value: string } {
  const match = /^((?:[^=!\\]|\\.)*?)(!=|==|=)(.*)$/s.exec(term);
  if (match === null) {
    throw apiError("BAD_REQUEST", `invalid selector: '${whole}'; can't understand '${term}'`);
  }
  const [, path = "", operator, value = ""] = match;
  return { path, equal: operator !== "!=", value: value.replace(/\\([\\,=])/g, "$1") };
}

/** Splits at commas that are not escaped. */
function splitTerms(text: string): string[] {
  return (text.match(/(?:\\.|[^,\\])+/gs) ?? []).filter((term) => term !== "");
}
