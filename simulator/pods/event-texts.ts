/** Words the kubelet and CRI clients put around errors and durations. */
import { isSimError, messageOf } from "../../common/errors.ts";

/** An error as it comes out of a CRI call: with the gRPC code in front, and our hint behind. */
export function criErrorText(error: unknown): string {
  const text = withHint(error);
  return text.startsWith("rpc error:") ? text : `rpc error: code = Unknown desc = ${text}`;
}

/** The message, and what to try. */
export function withHint(error: unknown): string {
  const hint = isSimError(error) ? error.hint : undefined;
  const message = messageOf(error);
  return hint === undefined ? message : `${message} (${hint.replace(/\.$/, "")})`;
}

/** Go's time.Duration.String() of whole milliseconds: "843ms", "1.2s", "1m2.5s", "1h0m0s". */
export function goDuration(durationMs: number): string {
  const ms = Math.max(0, Math.trunc(durationMs));
  if (ms === 0) return "0s";
  if (ms < 1000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = `${(ms % 60_000) / 1000}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
