/** Records core/v1 Events of the control plane's own components; repeats raise the count. */
import { randomBytes } from "node:crypto";
import { rfc3339 } from "../../../common/clock.ts";
import { isSimError } from "../../../common/errors.ts";
import type { CoreV1Event } from "../../../proto/kubernetes/gen/types.ts";
import type { ApiContext } from "../context.ts";
import { createObject } from "../generic/create.ts";
import { systemWrite } from "../generic/options.ts";
import { updateObject } from "../generic/update.ts";
import type { KubeObject } from "../object.ts";

export interface EventRecorder {
  record(about: KubeObject, type: "Normal" | "Warning", reason: string, message: string): void;
}

// client-go's correlator remembers 4096 too.
const rememberedEvents = 4096;

export function createEventRecorder(context: ApiContext, component: string): EventRecorder {
  const known = new Map<string, string>();
  const definition = context.registry.stored("events");
  return {
    record(about, type, reason, message) {
      const { name = "", uid = "" } = about.metadata;
      // Events about cluster-scoped objects live in the default namespace.
      const namespace = about.metadata.namespace ?? "default";
      const now = rfc3339(context.clock.nowMs());
      const key = [about.kind, namespace, uid, type, reason, message].join("\0");
      const before = known.get(key);
      const write = () => {
        if (before !== undefined && repeat(before)) return;
        const created = createObject(context, definition, namespace, newEvent(), systemWrite);
        known.set(key, created.metadata.name ?? "");
        if (known.size > rememberedEvents) known.delete(known.keys().next().value ?? "");
      };
      const repeat = (eventName: string): boolean => {
        const place = { namespace, name: eventName };
        if (context.store.get({ resource: "events", ...place }) === undefined) return false;
        updateObject(
          context,
          definition,
          place,
          (current) => {
            const event = current as unknown as CoreV1Event;
            return { ...current, count: (event.count ?? 1) + 1, lastTimestamp: now };
          },
          systemWrite,
        );
        return true;
      };
      const newEvent = (): KubeObject => ({
        apiVersion: "v1",
        kind: "Event",
        // Kubernetes' own form: the object's name and a number in base 16.
        metadata: { name: `${name}.${randomBytes(8).toString("hex")}`, namespace },
        involvedObject: {
          kind: about.kind,
          apiVersion: about.apiVersion,
          ...(about.metadata.namespace === undefined ? {} : { namespace }),
          name,
          uid,
          resourceVersion: about.metadata.resourceVersion,
        },
        reason,
        message,
        type,
        source: { component },
        reportingComponent: component,
        reportingInstance: "",
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      });
      try {
        write();
      } catch (error) {
        // Events are best effort: in a namespace that ends, or on a full disk, work goes on.
        if (!isSimError(error)) throw error;
        const expected = error.code === "FORBIDDEN" || error.code === "NOT_FOUND";
        context.log[expected ? "debug" : "warn"]({ err: error, reason }, "event not recorded");
      }
    },
  };
}
