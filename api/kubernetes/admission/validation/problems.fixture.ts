/** Test support: what the server says of an object, after normalising and defaulting it. */
import { gvkOf } from "../../schema/definitions.ts";
import { normalizeObject } from "../../schema/normalize.ts";
import { applyDefaults } from "../defaults.ts";
import { formatFieldErrors, validateObject } from "./index.ts";

/** As the server does it: normalised, defaulted, then validated. */
export function problems(apiVersion: string, kind: string, object: object, old?: object): string[] {
  const gvk = gvkOf(apiVersion, kind);
  const prepare = (from: object) => {
    const copy = normalizeObject(gvk, structuredClone(from));
    applyDefaults(gvk, copy);
    return copy;
  };
  const errors = validateObject(gvk, prepare(object), old && prepare(old));
  return errors.map((error) =>
    formatFieldErrors("K", "n", [error]).replace('K "n" is invalid: ', ""),
  );
}

export const pod = (spec: object, metadata: object = {}) => ({
  metadata: { name: "p", namespace: "default", ...metadata },
  spec: { containers: [{ name: "c", image: "busybox" }], ...spec },
});
export const podProblems = (spec: object, metadata: object = {}) =>
  problems("v1", "Pod", pod(spec, metadata));
export const containerProblems = (container: object, spec: object = {}) =>
  podProblems({ containers: [{ name: "c", image: "busybox", ...container }], ...spec });
