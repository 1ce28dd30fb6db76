/** What the request handlers and controllers of one API server share. */
import type { Clock } from "../../common/clock.ts";
import type { Logger } from "../../common/log.ts";
import type { Store } from "../store/store.ts";
import type { Registry } from "./registry.ts";

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

export interface ApiContext {
  readonly store: Store;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  /** The cluster's CA, for kube-root-ca.crt. */
  readonly caPem: string;
}
