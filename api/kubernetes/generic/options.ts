/** What callers of the generic verbs may say about a write. */
import type { PartSubresource } from "../define-resource.ts";

export interface NamedKey {
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

export interface WriteOptions {
  readonly dryRun: boolean;
  /** Adds a `Warning:` header to the answer. */
  warn(message: string): void;
}

export interface UpdateOptions extends WriteOptions {
  /** "main" is the object's own road; "system" is for controllers and keeps nothing back. */
  readonly road: "main" | "system" | PartSubresource;
}

/** For controllers: no one to warn, always for real. */
export const systemWrite: UpdateOptions = { dryRun: false, warn: () => {}, road: "system" };
