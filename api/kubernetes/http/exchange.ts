/** A request and its answer as the Kubernetes handlers see them, free of fastify. */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { ApiContext, User } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";

export interface KubeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly user: User;
  /** Becomes a `Warning: 299` header. */
  warn(message: string): void;
}

export type KubeAnswer =
  /** Served as it is: Status, discovery. */
  | { readonly type: "document"; readonly status: number; readonly object: object }
  /** An object of a resource, which a client may want as a Table. */
  | {
      readonly type: "object";
      readonly status: number;
      readonly object: KubeObject;
      readonly definition: ResourceDefinition;
    }
  | {
      readonly type: "list";
      readonly items: readonly KubeObject[];
      readonly metadata: object;
      readonly definition: ResourceDefinition;
    }
  /** Writes the response itself. */
  | { readonly type: "stream"; run(response: ServerResponse): void };

/** What handlers need beyond the request. */
export interface HandlerContext extends ApiContext {
  /** Calls `end` when the server closes; forget with the returned function. */
  onClose(end: () => void): () => void;
  /** Forwards log, exec, attach, port-forward and proxy to a node agent. */
  readonly kubelet: KubeletForwarder;
}

export interface ConnectTarget {
  readonly definition: ResourceDefinition;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  readonly rest: string;
}

export interface KubeletForwarder {
  /** Plain HTTP: log, proxy. */
  forward(target: ConnectTarget, request: KubeRequest): KubeAnswer;
}
