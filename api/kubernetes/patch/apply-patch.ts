/**
 * One entry for the patch types of the Kubernetes API: picks the algorithm by Content-Type and checks
 * that the result still decodes. Source: apiserver endpoints/handlers/patch.go.
 */
import { messageOf } from "../../../common/errors.ts";
import { apiError } from "../../errors.ts";
import { definitionFor, type GroupVersionKind } from "../schema/definitions.ts";
import { isRecord, type JsonRecord } from "../schema/records.ts";
import { decodingProblem } from "../schema/strict-decoding.ts";
import { goText } from "./go-text.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { applyStrategicMergePatch } from "./strategic-merge.ts";

/**
 * The types this server applies. A real one also has application/apply-patch+yaml: server-side
 * apply is not simulated and is refused as any unknown type is.
 */
export const patchMediaTypes = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
] as const;

/**
 * The patched object; `current` is not changed. `patch` is the request body, as bytes or text (JSON).
 * Throws UnsupportedMediaType for other types, BadRequest for patches that cannot be read, Invalid
 * for patches that do not fit. The result has valid field types but is neither pruned nor validated.
 */
export function applyPatch(
  contentType: string,
  current: object,
  patch: Uint8Array | string,
  gvk: GroupVersionKind,
): JsonRecord {
  const mediaType = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  const text = typeof patch === "string" ? patch : Buffer.from(patch).toString("utf8");
  const result = patchBy(mediaType, current, text, gvk);
  const problem = decodingProblem(gvk, result);
  if (problem !== undefined) throw invalidPatch(mediaType, text, problem);
  if (!isRecord(result))
    throw invalidPatch(mediaType, text, "the patch does not leave an object behind");
  return result;
}

/** 422 for a patch whose result cannot be decoded, also for fieldValidation=Strict. */
export function invalidPatch(
  contentType: string,
  patch: Uint8Array | string,
  problem: string,
): Error {
  const text = typeof patch === "string" ? patch : Buffer.from(patch).toString("utf8");
  // The strategic patcher shows the patch as Go prints a map, the two others show the text.
  const shown = contentType.startsWith("application/strategic") ? goText(JSON.parse(text)) : text;
  const detail = `Invalid value: ${JSON.stringify(shown)}: ${problem}`;
  return apiError("INVALID", ` "" is invalid: patch: ${detail}`, {
    details: { causes: [{ reason: "FieldValueInvalid", message: detail, field: "patch" }] },
  });
}

function patchBy(mediaType: string, current: object, text: string, gvk: GroupVersionKind): unknown {
  switch (mediaType) {
    case "application/json-patch+json":
      return applyJsonPatch(current, parse(text));
    case "application/merge-patch+json":
      return applyMergePatch(current, parse(text));
    case "application/strategic-merge-patch+json":
      // Kinds without definitions have no merge keys: real servers refuse custom resources so too.
      if (definitionFor(gvk)) return applyStrategicMergePatch(current, parse(text), gvk);
  }
  const accepted = patchMediaTypes.filter(
    (type) => type !== "application/strategic-merge-patch+json" || definitionFor(gvk),
  );
  throw apiError(
    "UNSUPPORTED_MEDIA_TYPE",
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
    ...(mediaType === "application/apply-patch+yaml"
      ? [{ hint: "Server-side apply is not simulated: use kubectl apply without --server-side." }]
      : []),
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw apiError("BAD_REQUEST", `error decoding patch: ${messageOf(cause)}`, { cause });
  }
}
