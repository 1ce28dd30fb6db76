/**
 * Where shims forward their task events to, in containerd's place: a ttrpc server on a unix socket
 * (containerd.services.events.ttrpc.v1.Events). Exits come here and by Wait; OOM kills only here.
 */

import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { TaskExitSchema, TaskOOMSchema } from "../../proto/containerd/gen/events_pb.js";
import { Events } from "../../proto/containerd/gen/events_service_pb.js";
import { createTtrpcServer } from "../../runtime-shim/index.ts";
import type { TaskExit } from "./shim-tasks.ts";

export interface EventSink {
  /** A container's first process ended. */
  exited(containerId: string, exit: TaskExit): void;
  oom(containerId: string): void;
}

export interface EventFeed {
  close(): Promise<void>;
}

/** Shims of an earlier process reconnect by themselves: the path must stay the same. */
export async function startEventFeed(
  path: string,
  sink: EventSink,
  log: Logger,
): Promise<EventFeed> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const server = createTtrpcServer({ log });
  server.serve(Events, {
    async forward({ envelope }) {
      if (envelope?.event === undefined) return {};
      try {
        deliver(envelope.topic, envelope.event.value, sink);
      } catch (error) {
        // A shim must not repeat for ever what we cannot read.
        log.warn({ topic: envelope.topic, error: messageOf(error) }, "unreadable task event");
      }
      return {};
    },
  });
  await server.listen(path);
  return { close: () => server.close() };
}

function deliver(topic: string, event: Uint8Array, sink: EventSink): void {
  if (topic === "/tasks/exit") {
    const exit = fromBinary(TaskExitSchema, event);
    // An exec's exit carries its own id.
    if (exit.id !== exit.containerId) return;
    const exitedAtMs = exit.exitedAt === undefined ? undefined : timestampMs(exit.exitedAt);
    sink.exited(exit.containerId, { exitCode: exit.exitStatus, exitedAtMs });
  }
  if (topic === "/tasks/oom") sink.oom(fromBinary(TaskOOMSchema, event).containerId);
}
