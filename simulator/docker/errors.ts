/**
 * Error codes of the Docker adapter, and the one place where dockerode's errors become ours: the
 * engine's own words stay, as the docker command shows them ("Error response from daemon: …").
 */
import { errorFactory, isSimError, messageOf, type SimError } from "../../common/errors.ts";

export const dockerError = errorFactory({
  ENGINE_UNREACHABLE: { kind: "environment" },
  ENGINE_UNFIT: { kind: "environment" },
  ENGINE_NOT_FOUND: { kind: "user" },
  ENGINE_CONFLICT: { kind: "environment" },
  ENGINE_REFUSED: { kind: "environment" },
});

/** What dockerode rejects with (docker-modem lib/modem.js buildPayload) or Node's sockets. */
interface ForeignError {
  readonly statusCode?: number;
  readonly json?: unknown;
  readonly code?: string;
}

const unreachable = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET", "EACCES", "EPERM", "EPIPE"]);

export function engineFailure(address: string, error: unknown): SimError {
  if (isSimError(error)) return error;
  const { statusCode, code = "" } = error as ForeignError;
  if (statusCode === undefined) {
    if (!unreachable.has(code)) {
      return dockerError("ENGINE_UNREACHABLE", `Docker Engine at ${address}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const [what, hint] = connectionWords(code);
    return dockerError("ENGINE_UNREACHABLE", `Docker Engine at ${address}: ${what}`, {
      cause: error,
      hint,
    });
  }
  const words = `Error response from daemon: ${daemonWords(error)}`;
  const options = { cause: error };
  if (statusCode === 404) return dockerError("ENGINE_NOT_FOUND", words, options);
  if (statusCode === 409) return dockerError("ENGINE_CONFLICT", words, options);
  return dockerError("ENGINE_REFUSED", words, options);
}

function connectionWords(code: string): readonly [string, string] {
  switch (code) {
    case "ENOENT":
      return ["there is no such socket", "Start Docker, or set DOCKER_HOST to its socket."];
    case "EACCES":
    case "EPERM":
      return [
        "this user may not use the socket",
        "Join the socket's group (usually: sudo usermod -aG docker $USER, then log in again).",
      ];
    default:
      return [
        "it does not answer",
        "Start Docker, for instance with: sudo systemctl start docker.",
      ];
  }
}

function daemonWords(error: unknown): string {
  const { json } = error as ForeignError;
  const message = (json as { message?: unknown } | undefined)?.message;
  if (typeof message === "string") return message.trim();
  // "(HTTP code 500) server error - <words> "
  return messageOf(error)
    .replace(/^\(HTTP code \d+\) [^-]* - /, "")
    .trim();
}
