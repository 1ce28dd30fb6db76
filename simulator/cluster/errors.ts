/** What can go wrong between the agent and the API server, with the server's Status inside. */
import { errorFactory, isSimError, type SimError } from "../../common/errors.ts";
import type { Status } from "../../proto/kubernetes/gen/types.ts";

const clusterErrors = {
  /** The server answered with a Status; `details.status` holds it. */
  API_REFUSED: { kind: "environment" },
  API_UNREACHABLE: { kind: "environment" },
  API_ANSWER_UNREADABLE: { kind: "environment" },
} as const;

export const clusterError = errorFactory(clusterErrors);

/** `httpStatus` stands in where the body was no Status (a proxy's page, an empty answer). */
export function refusal(httpStatus: number, body: string, request: string): SimError {
  const status = statusFromBody(body) ?? {
    kind: "Status",
    status: "Failure",
    code: httpStatus,
    message: `${request}: HTTP ${httpStatus}${body === "" ? "" : `: ${body.slice(0, 200)}`}`,
  };
  return clusterError("API_REFUSED", status.message ?? `${request}: HTTP ${httpStatus}`, {
    details: { status: { ...status, code: status.code ?? httpStatus } },
  });
}

export function statusOf(error: unknown): Status | undefined {
  return isSimError(error) && error.code === "API_REFUSED"
    ? (error.details?.status as Status | undefined)
    : undefined;
}

function hasCode(error: unknown, code: number): boolean {
  return statusOf(error)?.code === code;
}

export function isNotFound(error: unknown): boolean {
  return hasCode(error, 404);
}

/** Another writer was first, the object exists already, or its uid is another one. */
export function isConflict(error: unknown): boolean {
  return hasCode(error, 409);
}

/** The server does not serve this resource or verb. */
export function isNotServed(error: unknown): boolean {
  return hasCode(error, 404) || hasCode(error, 405) || hasCode(error, 501);
}

/** The resource version is too old to watch from: list anew. */
export function isExpired(error: unknown): boolean {
  return hasCode(error, 410);
}

function statusFromBody(body: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(body);
    const isStatus =
      typeof value === "object" && value !== null && "kind" in value && value.kind === "Status";
    return isStatus ? (value as Status) : undefined;
  } catch {
    return undefined;
  }
}
