/** One thing `katasim doctor` looks at. Checks answer, they never throw and never change anything. */
export type CheckState = "ok" | "absent" | "warning" | "failed";

export interface CheckResult {
  readonly id: string;
  readonly state: CheckState;
  /** One sentence on what was found. */
  readonly message: string;
  /** The command or act that mends it. */
  readonly fix?: string;
}

export type Check = () => Promise<CheckResult>;

export function ok(id: string, message: string): CheckResult {
  return { id, state: "ok", message };
}

/** Not there, and something else serves in its place. */
export function absent(id: string, message: string, fix: string): CheckResult {
  return { id, state: "absent", message, fix };
}

/** Katasim works, with the limit the message names. */
export function warning(id: string, message: string, fix: string): CheckResult {
  return { id, state: "warning", message, fix };
}

/** Sandboxed or trusted pods cannot run until it is mended. */
export function failed(id: string, message: string, fix: string): CheckResult {
  return { id, state: "failed", message, fix };
}
