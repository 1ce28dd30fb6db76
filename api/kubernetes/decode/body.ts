/**
 * Request bodies to objects, by Content-Type: JSON, YAML and Kubernetes protobuf. Bytes come from
 * outside: every reader is bounded in depth and refuses with BadRequest.
 */
import { parseDocument } from "yaml";
import { messageOf } from "../../../common/errors.ts";
import { apiError } from "../../errors.ts";
import { duplicateFields, nestingDepth } from "./duplicate-keys.ts";
import { decodeProtobuf } from "./protobuf.ts";

export interface DecodedBody {
  readonly object: unknown;
  /** Messages for fieldValidation, e.g. `duplicate field "spec.nodeName"`. */
  readonly duplicateFields: string[];
}

/** Deeper than any Kubernetes object, far from the depth at which recursion ends the process. */
const maxDepth = 500;

export const bodyMediaTypes = [
  "application/json",
  "application/yaml",
  "application/vnd.kubernetes.protobuf",
] as const;

/**
 * Decodes a write request's body. Without a Content-Type the body is JSON, as on the real server.
 * Throws BadRequest for unreadable bytes, UnsupportedMediaType for other types.
 */
export function decodeBody(contentType: string, bytes: Buffer): DecodedBody {
  switch (contentType.split(";", 1)[0]?.trim().toLowerCase()) {
    case "":
    case "application/json":
      return decodeJson(bytes.toString("utf8"));
    case "application/yaml":
    case "application/x-yaml":
    case "text/yaml":
      return decodeYaml(bytes.toString("utf8"));
    case "application/vnd.kubernetes.protobuf":
      return { object: decodeProtobuf(bytes), duplicateFields: [] };
  }
  throw apiError(
    "UNSUPPORTED_MEDIA_TYPE",
    `the body of the request was in an unknown format - accepted media types include: ${bodyMediaTypes.join(", ")}`,
  );
}

function decodeJson(text: string): DecodedBody {
  if (nestingDepth(text) > maxDepth) throw tooDeep();
  let object: unknown;
  try {
    object = JSON.parse(text);
  } catch (cause) {
    throw unreadable("json", text, cause);
  }
  return {
    object,
    duplicateFields: duplicateFields(text).map((path) => `duplicate field "${path}"`),
  };
}

function decodeYaml(text: string): DecodedBody {
  // A JSON text is YAML; reading it as JSON is faster and words its errors like the server.
  if (text.trimStart().startsWith("{")) return decodeJson(text);
  let object: unknown;
  const duplicates: string[] = [];
  try {
    const document = parseDocument(text, { stringKeys: true, logLevel: "silent" });
    for (const error of document.errors) {
      if (error.code !== "DUPLICATE_KEY") throw error;
      duplicates.push(`yaml: line ${error.linePos?.[0].line ?? 0}: key already set in map`);
    }
    // The default alias limit of the library stops entity bombs.
    object = document.toJS();
  } catch (cause) {
    throw unreadable("yaml", text, cause);
  }
  if (isDeeperThan(object, maxDepth)) throw tooDeep();
  return { object, duplicateFields: duplicates };
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((child) => isDeeperThan(child, levels - 1));
}

function tooDeep(): Error {
  return apiError("REQUEST_TOO_LARGE", `the body nests deeper than ${maxDepth} levels`);
}

/** How much of a bad body the message shows; the real server shows 30 bytes too. */
const shownLength = 30;

function unreadable(format: string, text: string, cause: unknown): Error {
  const shown = text.length > shownLength ? `${text.slice(0, shownLength)} ...` : text || "<empty>";
  return apiError(
    "BAD_REQUEST",
    `couldn't get version/kind; ${format} parse error: ${messageOf(cause)} (${shown})`,
    { cause },
  );
}
