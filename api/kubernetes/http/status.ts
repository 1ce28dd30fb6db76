/** SimError → metav1.Status, once, at the boundary. Nobody is shown a stack. */
import { isSimError, messageOf, type SimError } from "../../../common/errors.ts";
import type { KubeObject } from "../object.ts";

export interface StatusFields {
  readonly status: "Success" | "Failure";
  readonly code: number;
  readonly message?: string;
  readonly reason?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export function statusObject(fields: StatusFields): KubeObject {
  return { kind: "Status", apiVersion: "v1", metadata: {}, ...fields };
}

export function isStatus(object: KubeObject): boolean {
  return object.kind === "Status" && object.apiVersion === "v1";
}

/** Anything thrown as a Status; what is no SimError is our bug and says so. */
export function statusFromError(error: unknown): KubeObject {
  if (!isSimError(error)) {
    return statusObject({
      status: "Failure",
      message: `Internal error occurred: ${messageOf(error)}`,
      reason: "InternalError",
      details: { causes: [{ message: messageOf(error) }] },
      code: 500,
    });
  }
  return statusObject({
    status: "Failure",
    message: withHint(error),
    reason: error.definition.reason ?? "InternalError",
    ...(error.details === undefined ? {} : { details: error.details }),
    code: error.definition.httpStatus ?? 500,
  });
}

/** A Status has no place for "what to try", so it ends the message. */
function withHint(error: SimError): string {
  return error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
}
