/**
 * Termination messages: a container writes its last words into a file that the kubelet bound into it
 * and reads when it has ended. In a guest that file is a copy, whose end goes back to the host.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { GuestClient } from "../guest-client/client.ts";

// kubelet container/runtime.go MaxContainerTerminationMessageLength: it takes the end of the file.
const maxBytes = 4096;
// A guest that does not answer must not keep the exit from being known.
const timeoutMs = 5_000;

export interface MessageFile {
  readonly hostPath: string;
  readonly guestPath: string;
}

/** Never rejects: a message that is lost costs words, and the exit goes on. */
export async function fetchMessage(
  guest: GuestClient,
  { hostPath, guestPath }: MessageFile,
  log: Logger,
): Promise<void> {
  try {
    const late = sleep(timeoutMs, undefined, { ref: false });
    const reply = await Promise.race([
      guest.request("readFile", [
        [1, guestPath],
        [2, maxBytes],
      ]),
      late,
    ]);
    // A guest may send more than it was asked for.
    const text = reply?.bytes(1)?.subarray(-maxBytes);
    if (text === undefined || text.length === 0) return;
    // The kubelet's own file, nothing that took its place.
    const { O_WRONLY, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;
    const file = await open(hostPath, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK);
    await file.writeFile(text).finally(() => file.close());
  } catch (error) {
    log.warn({ file: hostPath, error: messageOf(error) }, "the termination message is lost");
  }
}
