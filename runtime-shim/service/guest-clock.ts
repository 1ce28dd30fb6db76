/**
 * Keeps the guest's clock near the host's: a guest that stood still (its VM paused, this machine
 * suspended, a software emulation short of time) does not know how long. A guest that hangs is noticed
 * by it, too: the request's deadline passes, and the client gives the guest up.
 */
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { GuestClient } from "../guest-client/client.ts";

// A suspended laptop's pods are right again within this time; a request costs the guest next to nothing.
export const clockIntervalMs = 30_000;
// What the journey of an answer hides is not worth a correction.
const toleranceMs = 20;

/** Until the guest's connection ends. */
export function keepGuestClock(
  guest: Pick<GuestClient, "request" | "closed">,
  options: { readonly log: Logger; readonly intervalMs?: number },
): void {
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  const next = () => {
    if (over) return;
    timer = setTimeout(
      () =>
        void correctGuestClock(guest)
          .then((ms) => {
            if (ms !== 0) options.log.info({ ms }, "the guest's clock was corrected");
          })
          .catch((error: unknown) =>
            options.log.debug({ error: messageOf(error) }, "the guest's clock was not asked"),
          )
          .finally(next),
      options.intervalMs ?? clockIntervalMs,
    ).unref();
  };
  void guest.closed.then(() => {
    over = true;
    clearTimeout(timer);
  });
  next();
}

/** Resolves with the correction in milliseconds; 0 when the guest is as right as can be known. */
export async function correctGuestClock(guest: Pick<GuestClient, "request">): Promise<number> {
  const before = Date.now();
  const started = performance.now();
  const reply = await guest.request("clock");
  const tripMs = performance.now() - started;
  const guestMs = (reply.number(1) ?? 0) / 1000;
  // The guest looked at its clock at some moment of the journey.
  const aheadMs = guestMs - (before + tripMs / 2);
  if (Math.abs(aheadMs) < tripMs / 2 + toleranceMs) return 0;
  await guest.request("clock", [[1, -BigInt(Math.round(aheadMs * 1000))]]);
  return -Math.round(aheadMs);
}
