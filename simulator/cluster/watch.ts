/**
 * List, then watch for ever (client-go tools/cache/reflector.go): bookmarks keep the resource version
 * fresh, a broken connection is taken up where it ended, 410 Gone lists anew.
 */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../common/clock.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { Status } from "../../proto/kubernetes/gen/types.ts";
import type { KubernetesObject, WatchEvent } from "../cluster-port.ts";
import { clusterError, isExpired, refusal } from "./errors.ts";
import type { HttpsClient } from "./https-client.ts";
import { jsonLines } from "./json-lines.ts";

export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

export interface WatchSource<T> {
  readonly client: HttpsClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly list: () => Promise<ObjectList<T>>;
  readonly watchUrl: (query: Readonly<Record<string, string>>) => string;
}

// The server ends a watch after this time (client-go: 5 to 10 minutes); then it is taken up again.
const watchSeconds = 300;
// No event, not even a bookmark (one a minute), for longer than the watch may last: it is dead.
const watchIdleMs = (watchSeconds + 30) * 1000;
// Quick at first, because the usual cause is a restart of the API server on this machine.
const firstRetryMs = 100;
const maxRetryMs = 10_000;

interface RawEvent<T> {
  readonly type: string;
  readonly object: T | Status;
}

/** Resolves when `signal` aborts; never rejects. */
export async function watchForEver<T extends KubernetesObject>(
  source: WatchSource<T>,
  onEvent: (event: WatchEvent<T>) => void,
  signal: AbortSignal,
): Promise<void> {
  let resourceVersion: string | undefined;
  let retryMs = firstRetryMs;
  while (!signal.aborted) {
    try {
      if (resourceVersion === undefined) {
        const list = await source.list();
        if (signal.aborted) return;
        onEvent({ type: "SYNC", items: list.items });
        resourceVersion = list.resourceVersion;
      }
      for await (const event of openWatch(source, resourceVersion, signal)) {
        if (signal.aborted) return;
        retryMs = firstRetryMs;
        if (event.type === "ERROR") {
          const status = event.object as Status;
          throw refusal(status.code ?? 500, JSON.stringify(status), "watch");
        }
        const object = event.object as T;
        resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
        if (event.type === "ADDED" || event.type === "MODIFIED" || event.type === "DELETED") {
          onEvent({ type: event.type, object });
        }
      }
      // The server ended it in peace. The pause keeps one that ends every watch at once from
      // turning this into a busy loop.
      await source.clock.sleep(firstRetryMs, signal).catch(() => {});
    } catch (error) {
      if (signal.aborted) return;
      if (isExpired(error)) resourceVersion = undefined;
      else source.log.warn({ error: messageOf(error), retryMs }, "watch interrupted");
      await source.clock.sleep(retryMs, signal).catch(() => {});
      retryMs = Math.min(retryMs * 2, maxRetryMs);
    }
  }
}

async function* openWatch<T>(
  source: WatchSource<T>,
  resourceVersion: string,
  signal: AbortSignal,
): AsyncGenerator<RawEvent<T>> {
  const path = source.watchUrl({
    watch: "true",
    allowWatchBookmarks: "true",
    resourceVersion,
    timeoutSeconds: String(watchSeconds),
  });
  const answer = await source.client.open({
    method: "GET",
    path,
    signal,
    idleTimeoutMs: watchIdleMs,
  });
  if (answer.statusCode !== 200) {
    throw refusal(answer.statusCode ?? 0, await textOf(answer), `GET ${path}`);
  }
  try {
    for await (const line of jsonLines(answer as AsyncIterable<Buffer>)) yield eventFrom<T>(line);
  } finally {
    answer.destroy();
  }
}

function eventFrom<T>(line: unknown): RawEvent<T> {
  if (typeof line === "object" && line !== null && "type" in line && "object" in line) {
    return line as RawEvent<T>;
  }
  throw clusterError("API_ANSWER_UNREADABLE", "a watch event has no type and object");
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8").slice(0, 65_536);
}
