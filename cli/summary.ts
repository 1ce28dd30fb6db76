/** What `up` says once the node is ready. */
export interface NodeSummary {
  readonly name: string;
  readonly nodeName: string;
  /** https://127.0.0.1:6443 */
  readonly server: string;
  readonly pid: number;
  /** Exec of `up` to Ready. */
  readonly readyMs: number;
  readonly network: {
    readonly kind: string;
    readonly podCidr?: string;
    readonly hostPorts: boolean;
    /** What pods cannot do on it, a sentence each. */
    readonly limits: readonly string[];
  };
  readonly handlers: ReadonlyArray<{
    readonly name: string;
    readonly usable: boolean;
    readonly reason: string;
  }>;
}
