/**
 * A pod's network that is made before there is a pod: plugins are programs, and to run them takes a fifth
 * of a pod's start. One waits once a pod was there, and is replaced when the node is quiet.
 */
import { randomBytes } from "node:crypto";
import type { Activity } from "../../common/activity.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { CniAttachment } from "./cni-network.ts";
import type { PodIdentity } from "./pod-network.ts";

export interface SpareAttachments {
  /** The one that waits, as this pod's; undefined when there is none, or none for this pod. */
  take(pod: PodIdentity): Promise<CniAttachment | undefined>;
  /** Of what waits or is being made: it is somebody's. */
  ids(): readonly string[];
  /** Takes it down again. Idempotent. */
  close(): Promise<void>;
}

export interface SpareAttachmentsOptions {
  readonly log: Logger;
  readonly activity: Activity;
  add(pod: PodIdentity): Promise<CniAttachment>;
  detach(sandboxId: string): Promise<void>;
  /** Makes a spare's attachment a sandbox's. */
  adopt(spareId: string, sandboxId: string): Promise<void>;
  /** Whether a pod can do with one that was made for nobody. */
  suits(pod: PodIdentity): Promise<boolean>;
}

// What follows on the way of a pod is not to be slowed down.
const quietMs = 400;

export function createSpareAttachments(options: SpareAttachmentsOptions): SpareAttachments {
  const { log, add, detach, adopt, suits } = options;
  let waiting: { readonly id: string; readonly attachment: CniAttachment } | undefined;
  let making: { readonly id: string; readonly done: Promise<void> } | undefined;
  let closed = false;

  const make = async (id: string) => {
    const pod = { sandboxId: id, podNamespace: "", podName: "", podUid: "", playsNetwork: false };
    try {
      const attachment = await add(pod);
      if (closed) await detach(id);
      else waiting = { id, attachment };
    } catch (error) {
      log.debug({ error: messageOf(error) }, "no network waits for the next pod");
    } finally {
      making = undefined;
    }
  };
  const quiet = options.activity.whenQuiet(quietMs, () => {
    if (waiting !== undefined || making !== undefined) return;
    const id = `spare-${randomBytes(6).toString("hex")}`;
    making = { id, done: make(id) };
  });

  return {
    ids: () => [waiting?.id, making?.id].filter((id) => id !== undefined),
    async take(pod) {
      if (!(await suits(pod))) return undefined;
      quiet.touch();
      const found = waiting;
      if (found === undefined) return undefined;
      waiting = undefined;
      try {
        await adopt(found.id, pod.sandboxId);
      } catch (error) {
        log.warn({ error: messageOf(error) }, "the network that waited is lost");
        return undefined;
      }
      return found.attachment;
    },
    async close() {
      closed = true;
      quiet.close();
      await making?.done;
      const left = waiting;
      waiting = undefined;
      if (left !== undefined) await detach(left.id);
    },
  };
}
