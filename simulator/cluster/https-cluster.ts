/**
 * ClusterPort over HTTPS: the Kubernetes API as any client sees it (kubernetes.io "API concepts"), so
 * that the agent joins the embedded API server or a real one in the same way.
 */
import type { Clock } from "../../common/clock.ts";
import type { Logger } from "../../common/log.ts";
import type { ClusterPort, KubernetesObject, ResourcePath, WatchEvent } from "../cluster-port.ts";
import { isNotFound, refusal } from "./errors.ts";
import { createHttpsClient, type HttpsClientOptions } from "./https-client.ts";
import { type ObjectList, watchForEver } from "./watch.ts";

export interface HttpsClusterOptions extends HttpsClientOptions {
  readonly log: Logger;
  readonly clock: Clock;
}

export interface HttpsCluster extends ClusterPort {
  /** Lets go of the kept-alive connections. */
  close(): void;
}

// kubectl's and client-go's page size.
const pageSize = 500;
// Far above what a loaded API server needs; a lost connection shows as an error, not as a hang.
const requestTimeoutMs = 30_000;

type Query = Readonly<Record<string, string | undefined>>;

export function createHttpsCluster(options: HttpsClusterOptions): HttpsCluster {
  const client = createHttpsClient(options);

  const call = async <T>(
    method: string,
    path: string,
    body?: unknown,
    contentType = "application/json",
  ): Promise<T> => {
    const answer = await client.send({
      method,
      path,
      ...(body === undefined ? {} : { body, contentType }),
      idleTimeoutMs: requestTimeoutMs,
    });
    if (answer.httpStatus < 200 || answer.httpStatus > 299) {
      throw refusal(answer.httpStatus, answer.body, `${method} ${path}`);
    }
    try {
      return JSON.parse(answer.body) as T;
    } catch {
      throw refusal(answer.httpStatus, answer.body, `${method} ${path}`);
    }
  };

  const listAll = async <T extends KubernetesObject>(
    path: ResourcePath,
    query: Query,
  ): Promise<ObjectList<T>> => {
    const items: T[] = [];
    let continueToken: string | undefined;
    for (;;) {
      const page = await call<{
        items?: T[];
        metadata?: { resourceVersion?: string; continue?: string };
      }>(
        "GET",
        urlOf(path, undefined, { ...query, limit: String(pageSize), continue: continueToken }),
      );
      items.push(...(page.items ?? []));
      continueToken = page.metadata?.continue || undefined;
      if (continueToken === undefined) {
        return { items, resourceVersion: page.metadata?.resourceVersion ?? "0" };
      }
    }
  };

  return {
    async get<T extends KubernetesObject>(path: ResourcePath, name: string) {
      try {
        return await call<T>("GET", urlOf(path, name));
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    list: async <T extends KubernetesObject>(path: ResourcePath, query: Query = {}) =>
      (await listAll<T>(path, query)).items,
    create: (path, object) => call("POST", urlOf(path), object),
    replace: (path, name, object, subresource) =>
      call("PUT", urlOf(path, subresource ? `${name}/${subresource}` : name), object),
    patch: (path, name, patch, { type, subresource }) =>
      call("PATCH", urlOf(path, subresource ? `${name}/${subresource}` : name), patch, type),
    async delete(path, name, deletion = {}) {
      const body = {
        apiVersion: "v1",
        kind: "DeleteOptions",
        ...(deletion.gracePeriodSeconds === undefined
          ? {}
          : { gracePeriodSeconds: deletion.gracePeriodSeconds }),
        ...(deletion.uid === undefined ? {} : { preconditions: { uid: deletion.uid } }),
      };
      try {
        await call("DELETE", urlOf(path, name), body);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
    watch: <T extends KubernetesObject>(
      path: ResourcePath,
      query: Query,
      onEvent: (event: WatchEvent<T>) => void,
      signal: AbortSignal,
    ) =>
      watchForEver<T>(
        {
          client,
          clock: options.clock,
          log: options.log,
          list: () => listAll<T>(path, query),
          watchUrl: (watchQuery) => urlOf(path, undefined, { ...query, ...watchQuery }),
        },
        onEvent,
        signal,
      ),
    close: () => client.close(),
  };
}

/** `name` may carry a subresource after a slash; it is escaped part by part. */
export function urlOf(path: ResourcePath, name?: string, query: Query = {}): string {
  const parts = [
    ...path.groupVersion.split("/"),
    ...(path.namespace === undefined ? [] : ["namespaces", path.namespace]),
    ...path.plural.split("/"),
    ...(name === undefined ? [] : name.split("/")),
  ];
  const search = new URLSearchParams(
    Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined),
  ).toString();
  return `/${parts.map(encodeURIComponent).join("/")}${search === "" ? "" : `?${search}`}`;
}
