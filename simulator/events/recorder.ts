/**
 * Events about pods and the node: client-go tools/record with its correlator (events_cache.go). A
 * repetition raises the count of the event already sent, and one object cannot flood the cluster.
 * Recording never waits and never fails the caller.
 */
import type { Clock } from "../../common/clock.ts";
import { rfc3339 } from "../../common/clock.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { CoreV1Event, ObjectReference } from "../../proto/kubernetes/gen/types.ts";
import { isNotFound } from "../cluster/errors.ts";
import type { ClusterPort } from "../cluster-port.ts";
import { coreV1 } from "../objects.ts";

export interface EventBody {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

export interface EventRecorder {
  record(about: ObjectReference, event: EventBody): void;
  /** Resolves when everything recorded so far was sent or given up. */
  flush(): Promise<void>;
}

export interface EventRecorderOptions {
  readonly cluster: ClusterPort;
  readonly clock: Clock;
  readonly log: Logger;
  readonly component: string;
  readonly host: string;
}

// client-go's defaults: 4096 remembered events, 25 at once per object, then one in five minutes.
const rememberedEvents = 4096;
const burst = 25;
const refillMs = 300_000;
// The real API server cuts longer messages (kubernetes pkg/apis/core/validation/events.go: 1 KiB).
const maxMessageBytes = 1024;

interface Sent {
  readonly name: string;
  count: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

type StoredEvent = CoreV1Event & { metadata: { name: string; namespace: string } };

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { cluster, clock, log } = options;
  const sent = new Map<string, Sent>();
  const buckets = new Map<string, Bucket>();
  let queue = Promise.resolve();
  let serial = 0;

  const spare = (key: string): boolean => {
    const now = clock.nowMs();
    const bucket = buckets.get(key) ?? { tokens: burst, atMs: now };
    bucket.tokens = Math.min(burst, bucket.tokens + (now - bucket.atMs) / refillMs);
    bucket.atMs = now;
    remember(buckets, key, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  };

  const send = async (about: ObjectReference, event: EventBody, atMs: number) => {
    const namespace = about.namespace ?? "default";
    const key = JSON.stringify([
      about.uid,
      about.fieldPath,
      event.type,
      event.reason,
      event.message,
    ]);
    const time = rfc3339(atMs);
    const known = sent.get(key);
    const path = coreV1("events", namespace);
    if (known !== undefined) {
      try {
        await cluster.patch(
          path,
          known.name,
          { count: known.count + 1, lastTimestamp: time, message: event.message },
          { type: "application/strategic-merge-patch+json" },
        );
        known.count++;
        remember(sent, key, known);
        return;
      } catch (error) {
        // Its time to live is over: begin a new one.
        if (!isNotFound(error)) throw error;
      }
    }
    // client-go: the object's name and the time in nanoseconds, in hexadecimal.
    const name = `${about.name}.${(BigInt(atMs) * 1_000_000n + BigInt(serial++ % 1_000_000)).toString(16)}`;
    await cluster.create<StoredEvent>(path, {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name, namespace },
      involvedObject: about,
      ...event,
      source: { component: options.component, host: options.host },
      reportingComponent: options.component,
      reportingInstance: options.host,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    });
    remember(sent, key, { name, count: 1 });
  };

  return {
    record(about, event) {
      if (!spare(`${about.namespace}/${about.name}/${about.uid}`)) return;
      const atMs = clock.nowMs();
      const body = { ...event, message: cut(event.message) };
      log.debug({ object: `${about.kind}/${about.name}`, ...body }, "event");
      queue = queue
        .then(() => send(about, body, atMs))
        .catch((error: unknown) =>
          log.warn({ reason: event.reason, error: messageOf(error) }, "event was not recorded"),
        );
    },
    flush: () => queue,
  };
}

/** Newest last; the oldest make room. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > rememberedEvents) {
    const oldest = map.keys().next().value;
    if (oldest !== undefined) map.delete(oldest);
  }
}

function cut(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.length <= maxMessageBytes) return message;
  return `${bytes
    .subarray(0, maxMessageBytes - 4)
    .toString("utf8")
    .replace(/\uFFFD$/, "")}…`;
}
