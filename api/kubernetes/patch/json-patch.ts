/**
 * JSON patch (RFC 6902) with the real server's limits and refusals. The operations are done by the
 * library; paths are checked first, because the library would follow inherited properties.
 * Source: apiserver endpoints/handlers/patch.go (applyJSPatch), evanphx/json-patch.
 */
import { applyPatch as applyOperations, type Operation, Pointer } from "rfc6902";
import { apiError } from "../../errors.ts";
import { cloneJson, isRecord, type JsonRecord } from "../schema/records.ts";

/** apiserver's maxJSONPatchOperations. */
const maxOperations = 10_000;

/** apiserver's limit on what copy operations may add (MaxRequestBodyBytes): stops doubling bombs. */
const maxCopiedBytes = 3 * 1024 * 1024;

const operationNames = new Set(["add", "remove", "replace", "move", "copy", "test"]);
/** The library mishandles these keys; no Kubernetes field is called so. */
const unsafeKeys = new Set(["__proto__", "constructor", "prototype"]);

/**
 * The patched copy. BadRequest when the patch is no list of operations, Invalid when an operation
 * cannot be done (a missing path, a failed test).
 */
export function applyJsonPatch(current: object, patch: unknown): unknown {
  if (!Array.isArray(patch))
    throw apiError(
      "BAD_REQUEST",
      `json: cannot unmarshal ${isRecord(patch) ? "object" : typeof patch} into Go value of type jsonpatch.Patch`,
    );
  if (patch.length > maxOperations)
    throw apiError(
      "REQUEST_TOO_LARGE",
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    );
  // The library changes its argument and cannot replace the root, so the root gets a parent.
  const holder = { root: cloneJson(current) as unknown };
  let copiedBytes = 0;
  for (const item of patch) {
    const operation = checkedOperation(item, holder);
    if (operation.op === "copy") {
      const source = Pointer.fromJSON(operation.from).get(holder);
      copiedBytes += JSON.stringify(source)?.length ?? 0;
      if (copiedBytes > maxCopiedBytes)
        throw refused(
          `Unable to complete the copy, the accumulated size increase of copy is ${copiedBytes}, exceeding the limit ${maxCopiedBytes}`,
        );
    }
    const [problem] = applyOperations(holder, [operation]);
    if (problem) throw refused(problem.message);
  }
  return holder.root;
}

/** The operation with its pointers moved under the holder, after checking they are plain data. */
function checkedOperation(item: unknown, holder: object): Operation {
  if (!isRecord(item) || typeof item.op !== "string" || !operationNames.has(item.op))
    throw refused(`Unexpected kind: ${isRecord(item) ? String(item.op) : "unknown"}`);
  const { op } = item;
  const copy: JsonRecord = { ...item, path: checkedPath(item.path, holder, op) };
  if (op === "move" || op === "copy") copy.from = checkedPath(item.from, holder, "remove");
  if ((op === "add" || op === "replace") && !Object.hasOwn(item, "value"))
    throw refused(`${op} operation does not apply: missing value`);
  if (op === "remove" && item.path === "")
    throw refused("unable to remove the root of the document");
  return copy as unknown as Operation;
}

function checkedPath(path: unknown, holder: object, op: string): string {
  if (typeof path !== "string" || (path !== "" && !path.startsWith("/")))
    throw refused(`${op} operation does not apply: invalid path ${JSON.stringify(path)}`);
  const full = `/root${path}`;
  const { tokens } = Pointer.fromJSON(full);
  let at: unknown = holder;
  for (const [i, token] of tokens.slice(1).entries()) {
    const isLast = i === tokens.length - 2;
    const mayBeNew = isLast && !["remove", "replace", "test"].includes(op);
    if (!canStep(at, token, mayBeNew))
      throw refused(
        `${op} operation does not apply: doc is missing path: "${path}": missing value`,
      );
    at = (at as JsonRecord)[token];
  }
  return full;
}

function canStep(at: unknown, token: string, mayBeNew: boolean): boolean {
  if (unsafeKeys.has(token)) return false;
  if (Array.isArray(at)) {
    if (token === "-") return mayBeNew;
    return /^(0|[1-9]\d*)$/.test(token) && Number(token) < at.length + (mayBeNew ? 1 : 0);
  }
  return isRecord(at) && (mayBeNew || Object.hasOwn(at, token));
}

/**
 * What the real server answers for any operation it cannot do (NewGenericServerResponse, 422). It
 * keeps the reason to itself; we give it as a hint.
 */
function refused(reason: string): Error {
  return apiError("INVALID", "the server rejected our request due to an error in our request", {
    details: {},
    hint: reason,
  });
}
