/** What an admission step is given and may do; `chain.ts` lists the steps in order. */
import type { ApiContext } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";

export interface AdmissionRequest {
  readonly operation: "CREATE" | "UPDATE" | "DELETE";
  readonly definition: ResourceDefinition;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  /** May be changed by a step. */
  readonly object: KubeObject;
  readonly old: KubeObject | undefined;
  warn(message: string): void;
}

export type AdmissionStep = (context: ApiContext, request: AdmissionRequest) => void;
