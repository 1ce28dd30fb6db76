/**
 * The one error class of katasim. Layers never throw free text: each keeps a table of its codes
 * (`api/errors.ts`, `simulator/errors.ts`, `runtime-shim/errors.ts`, `cli/errors.ts`) and makes its
 * errors from it. Boundaries translate once: Kubernetes Status, ttrpc status, exit code.
 */

/** Who must act: the person typing, the machine's owner, or us. */
export type ErrorKind = "user" | "environment" | "bug";

export interface ErrorDefinition {
  readonly kind: ErrorKind;
  /** HTTP status for the API boundary. */
  readonly httpStatus?: number;
  /** Kubernetes Status reason (apimachinery metav1.StatusReason). */
  readonly reason?: string;
  /** gRPC code for the ttrpc boundary (google.rpc.Code). */
  readonly grpcCode?: number;
  /** Process exit code for the CLI boundary; default by kind: user 2, environment 3, bug 70. */
  readonly exitCode?: number;
}

export interface SimErrorOptions {
  readonly cause?: unknown;
  /** What to try, one imperative sentence. */
  readonly hint?: string;
  /** Machine-readable extras, e.g. Kubernetes Status details. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export class SimError extends Error {
  readonly code: string;
  readonly definition: ErrorDefinition;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(
    code: string,
    definition: ErrorDefinition,
    message: string,
    options: SimErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = `SimError [${code}]`;
    this.code = code;
    this.definition = definition;
    this.hint = options.hint;
    this.details = options.details;
  }

  get kind(): ErrorKind {
    return this.definition.kind;
  }

  get exitCode(): number {
    if (this.definition.exitCode !== undefined) return this.definition.exitCode;
    return { user: 2, environment: 3, bug: 70 }[this.kind];
  }
}

export type ErrorTable = Readonly<Record<string, ErrorDefinition>>;

/** Makes a layer's throw-helper: only codes of its own table are accepted. */
export function errorFactory<T extends ErrorTable>(table: T) {
  return (code: keyof T & string, message: string, options?: SimErrorOptions): SimError =>
    new SimError(code, table[code] as ErrorDefinition, message, options);
}

export function isSimError(value: unknown): value is SimError {
  return value instanceof SimError;
}

/** The message of anything that was thrown. */
export function messageOf(value: unknown): string {
  return value instanceof Error ? value.message : String(value);
}
