/** Brings a container's image to the node by its pull policy: kubelet images/image_manager.go. */
import { isSimError, messageOf } from "../../common/errors.ts";
import { containerReference, podReference } from "../events/references.ts";
import type { ImageRef } from "../runtime-port.ts";
import { criErrorText, goDuration } from "./event-texts.ts";
import type { ContainerView } from "./pod-containers.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import type { PodRecord } from "./pod-record.ts";
import type { Waiting } from "./pod-status.ts";

export type ImageOutcome =
  | { readonly image: ImageRef }
  | { readonly waiting: Waiting; readonly retryAfterMs: number };

// Without a back-off of its own the kubelet looks again at its next sync.
const nextSyncMs = 10_000;

export async function ensureImage(
  record: PodRecord,
  view: ContainerView,
  deps: PodDependencies,
): Promise<ImageOutcome> {
  const { images, clock, events, imageBackoff } = deps;
  const name = view.spec.image ?? "";
  const about = containerReference(record.pod, view.kind, view.spec.name);
  const say = (type: "Normal" | "Warning", reason: string, message: string) =>
    events.record(about, { type, reason, message });
  const policy = view.spec.imagePullPolicy ?? defaultPolicy(name);

  let present: Awaited<ReturnType<typeof images.find>>;
  try {
    present = await images.find(name);
  } catch (error) {
    const reason = wordOf(error, "ImageInspectError");
    const message =
      reason === "InvalidImageName"
        ? `Failed to apply default image tag "${name}": ${messageOf(error)}`
        : `Failed to inspect image "${name}": ${criErrorText(error)}`;
    say("Warning", "InspectFailed", message);
    say("Warning", "Failed", `Error: ${reason}`);
    return { waiting: { reason, message }, retryAfterMs: nextSyncMs };
  }
  if (present !== undefined && policy !== "Always") {
    say("Normal", "Pulled", `Container image "${name}" already present on machine`);
    saySubstitute(record, deps, name, present.substituteReason);
    return { image: present };
  }
  if (policy === "Never") {
    const message = `Container image "${name}" is not present with pull policy of Never`;
    say("Warning", "ErrImageNeverPull", message);
    say("Warning", "Failed", "Error: ErrImageNeverPull");
    return { waiting: { reason: "ErrImageNeverPull", message }, retryAfterMs: nextSyncMs };
  }

  const backoffKey = `${record.uid}_${name}`;
  const remainingMs = imageBackoff.remainingSinceUpdateMs(backoffKey);
  if (remainingMs > 0) {
    const message = `Back-off pulling image "${name}"`;
    say("Normal", "BackOff", message);
    say("Warning", "Failed", "Error: ImagePullBackOff");
    const cause = lastPullErrors.get(record)?.get(name);
    return {
      waiting: {
        reason: "ImagePullBackOff",
        message: cause === undefined ? message : `${message}: ${cause}`,
      },
      retryAfterMs: remainingMs,
    };
  }
  say("Normal", "Pulling", `Pulling image "${name}"`);
  const begunAtMs = clock.nowMs();
  try {
    const image = await images.pull(name, record.interrupt.signal);
    const took = goDuration(clock.nowMs() - begunAtMs);
    say(
      "Normal",
      "Pulled",
      `Successfully pulled image "${name}" in ${took} (${took} including waiting). Image size: ${image.sizeBytes} bytes.`,
    );
    saySubstitute(record, deps, name, image.substituteReason);
    imageBackoff.forget(backoffKey);
    return { image };
  } catch (error) {
    record.interrupt.signal.throwIfAborted();
    const reason = wordOf(error, "ErrImagePull");
    const message = criErrorText(error);
    say("Warning", "Failed", `Failed to pull image "${name}": ${message}`);
    say("Warning", "Failed", `Error: ${reason}`);
    imageBackoff.next(backoffKey, clock.nowMs());
    const causes = lastPullErrors.get(record) ?? new Map<string, string>();
    lastPullErrors.set(record, causes.set(name, `${reason}: ${message}`));
    // The kubelet's next sync finds the back-off under way and says ImagePullBackOff.
    return { waiting: { reason, message }, retryAfterMs: backOffShownAfterMs };
  }
}

const backOffShownAfterMs = 2_000;
const lastPullErrors = new WeakMap<PodRecord, Map<string, string>>();

function saySubstitute(
  record: PodRecord,
  deps: PodDependencies,
  name: string,
  why: string | undefined,
): void {
  if (why === undefined || record.said.has(`substitute ${name}`)) return;
  record.said.add(`substitute ${name}`);
  deps.events.record(podReference(record.pod), {
    type: "Normal",
    reason: "ImageSubstituted",
    message: `Image "${name}": ${why}`,
  });
}

/** kubernetes pkg/apis/core/v1/defaults.go SetDefaults_Container. */
function defaultPolicy(image: string): string {
  const afterSlash = image.slice(image.lastIndexOf("/") + 1);
  if (image.includes("@")) return "IfNotPresent";
  return !afterSlash.includes(":") || afterSlash.endsWith(":latest") ? "Always" : "IfNotPresent";
}

const words = new Set([
  "InvalidImageName",
  "ErrImagePull",
  "ImageInspectError",
  "RegistryUnavailable",
]);

/** The image layer's error tables carry the kubelet's word for each of their codes. */
function wordOf(error: unknown, otherwise: string): string {
  const reason = isSimError(error) ? error.definition.reason : undefined;
  return reason !== undefined && words.has(reason) ? reason : otherwise;
}
