/**
 * Tells containerd (or the node agent) what happened, in order: the next event goes out only after
 * the one before was taken. containerd acts on exit events, so a lost one is a bug: it is tried again.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { Events } from "../../proto/containerd/gen/events_service_pb.js";
import { connectTtrpc, type TtrpcClient } from "../ttrpc/client.ts";

export interface Publisher {
  publish<T extends DescMessage>(topic: string, schema: T, event: MessageInitShape<T>): void;
  /** Resolves when everything was taken or given up, at the latest after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>;
  close(): void;
}

// As containerd's own shims (pkg/shim/publisher.go).
const forwardTimeoutMs = 5_000;
// An agent that restarts is back within this time; afterwards it asks for states anyway.
const retryDelaysMs = [50, 200, 500, 1_000, 2_000, 4_000, 8_000, 15_000];
const maxQueuedEvents = 2_048;

type Envelope = MessageInitShape<typeof Events.method.forward.input>;

export function createPublisher(options: {
  /** Absent: nobody listens, events are only logged. */
  readonly address: string | undefined;
  readonly namespace: string;
  readonly log: Logger;
}): Publisher {
  const { address, namespace, log } = options;
  const queue: Array<{ readonly topic: string; readonly request: Envelope }> = [];
  let client: TtrpcClient | undefined;
  let draining: Promise<void> | undefined;
  let closed = false;

  const forward = async (request: Envelope) => {
    client ??= await connectTtrpc(address as string, {
      metadata: { "containerd-namespace-ttrpc": namespace },
      timeoutMs: forwardTimeoutMs,
    });
    try {
      await client.call(Events.method.forward, request);
    } catch (error) {
      client?.close();
      client = undefined;
      throw error;
    }
  };
  const drain = async () => {
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      for (let attempt = 0; !closed; attempt += 1) {
        try {
          await forward(next.request);
          break;
        } catch (error) {
          const delay = retryDelaysMs[attempt];
          log.warn({ topic: next.topic, attempt, error: messageOf(error) }, "event not taken");
          if (delay === undefined) break;
          await sleep(delay, undefined, { ref: false });
        }
      }
      queue.shift();
    }
    draining = undefined;
  };

  return {
    publish(topic, schema, event) {
      log.debug({ topic, event }, "event");
      if (address === undefined || closed) return;
      if (queue.length >= maxQueuedEvents) {
        log.error({ topic }, "event dropped: the queue is full");
        return;
      }
      queue.push({
        topic,
        request: {
          envelope: {
            timestamp: timestampFromMs(Date.now()),
            namespace,
            topic,
            event: containerdAny(anyPack(schema, create(schema, event))),
          },
        },
      });
      draining ??= drain();
    },
    async flush(timeoutMs) {
      await Promise.race([
        draining ?? Promise.resolve(),
        sleep(timeoutMs, undefined, { ref: false }),
      ]);
    },
    close() {
      closed = true;
      client?.close();
    },
  };
}

/** containerd's typeurl has no "type.googleapis.com/" in front of the name. */
export function containerdAny<T extends { typeUrl: string }>(any: T): T {
  return { ...any, typeUrl: any.typeUrl.replace(/^type\.googleapis\.com\//, "") };
}
