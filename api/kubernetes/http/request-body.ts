/**
 * Request bodies to objects ready for admission: decoded, checked field by field, normalised and
 * defaulted. Source: apiserver pkg/endpoints/handlers/{create,patch}.go.
 */
import { apiError } from "../../errors.ts";
import { applyDefaults } from "../admission/defaults.ts";
import { notSupported } from "../admission/validation/field-error.ts";
import { decodeBody } from "../decode/body.ts";
import {
  apiVersionOf,
  type GroupVersionKind,
  isRecord,
  type KubeObject,
  type ObjectMeta,
} from "../object.ts";
import { applyPatch, invalidPatch, patchMediaTypes } from "../patch/apply-patch.ts";
import { normalizeObject } from "../schema/normalize.ts";
import { checkFields, checkTypes, strictDecodingError } from "../schema/strict-decoding.ts";
import { invalid } from "../status-errors.ts";
import type { KubeRequest } from "./exchange.ts";

type FieldValidation = "Ignore" | "Strict" | "Warn";

/** The object of a POST or PUT. */
export function readObject(request: KubeRequest, gvk: GroupVersionKind): KubeObject {
  const { object, duplicateFields } = decodeBody(
    request.headers["content-type"] ?? "",
    request.body,
  );
  if (!isRecord(object)) {
    throw apiError(
      "BAD_REQUEST",
      `the object provided is unrecognized (must be of type ${gvk.kind}): it is not an object`,
    );
  }
  assertKind(object, gvk);
  checkTypes(gvk, object);
  const problems = [...checkFields(gvk, object), ...duplicateFields];
  judgeFields(request, problems, () => strictDecodingError(gvk, problems));
  return finishObject(object, gvk);
}

/** The object a patch makes of `current`. */
export function patchObject(
  request: KubeRequest,
  gvk: GroupVersionKind,
  current: KubeObject,
): KubeObject {
  const contentType = request.headers["content-type"] ?? "";
  const patched = applyPatch(contentType, current, request.body, gvk);
  assertKind(patched, gvk);
  const { duplicateFields } = decodeBody("application/json", request.body);
  const problems = [...checkFields(gvk, patched), ...duplicateFields];
  judgeFields(request, problems, () =>
    invalidPatch(contentType, request.body, `strict decoding error: ${problems.join(", ")}`),
  );
  return finishObject(patched, gvk);
}

/** 415 comes before 404: an unsupported patch type is told as such whatever it is aimed at. */
export function assertPatchType(request: KubeRequest, gvk: GroupVersionKind): void {
  const contentType = request.headers["content-type"] ?? "";
  const mediaType = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if ((patchMediaTypes as readonly string[]).includes(mediaType)) return;
  applyPatch(contentType, {}, request.body, gvk); // Throws in the right words.
}

/** Options such as DeleteOptions: absent bodies are fine. */
export function readOptions(request: KubeRequest): unknown {
  if (request.body.length === 0) return undefined;
  return decodeBody(request.headers["content-type"] ?? "", request.body).object;
}

function finishObject(object: Record<string, unknown>, gvk: GroupVersionKind): KubeObject {
  const complete = normalizeObject(gvk, {
    ...object,
    apiVersion: apiVersionOf(gvk),
    kind: gvk.kind,
    metadata: (isRecord(object.metadata) ? object.metadata : {}) as ObjectMeta,
  });
  applyDefaults(gvk, complete);
  return complete as KubeObject;
}

/** rest.go transformDecodeError and the codec's version check. */
function assertKind(object: Record<string, unknown>, gvk: GroupVersionKind): void {
  const expected = apiVersionOf(gvk);
  const { apiVersion = expected, kind = gvk.kind } = object;
  if (kind !== gvk.kind) {
    throw apiError(
      "BAD_REQUEST",
      `${String(kind)} in version "${versionOf(apiVersion)}" cannot be handled as a ${gvk.kind}: converting (${String(kind)}) to (${gvk.kind}): unknown conversion`,
    );
  }
  if (apiVersion !== expected) {
    throw apiError(
      "BAD_REQUEST",
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${expected})`,
    );
  }
}

function versionOf(apiVersion: unknown): string {
  return String(apiVersion).split("/").at(-1) ?? "";
}

function judgeFields(
  request: KubeRequest,
  problems: readonly string[],
  strictError: () => Error,
): void {
  const directive = fieldValidationOf(request);
  if (directive === "Ignore" || problems.length === 0) return;
  if (directive === "Strict") throw strictError();
  for (const problem of problems) request.warn(problem);
}

function fieldValidationOf(request: KubeRequest): FieldValidation {
  const value = request.query.get("fieldValidation") || "Warn";
  if (value === "Ignore" || value === "Strict" || value === "Warn") return value;
  throw invalid({ group: "meta.k8s.io", kind: "CreateOptions" }, "", [
    notSupported("fieldValidation", value, ["Ignore", "Strict", "Warn"]),
  ]);
}
