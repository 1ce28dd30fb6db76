/** Who hears a guest changes: a rehearsal first, then the sandbox; its connection has one listener. */
import type { GuestListener } from "./client.ts";

export interface ListenerSwitch {
  /** For the connection. */
  readonly listener: GuestListener;
  /** Who hears the guest from now on; nobody before. */
  listen(heard: GuestListener): void;
}

export function createListenerSwitch(): ListenerSwitch {
  let current: GuestListener = { exited: () => {}, oom: () => {} };
  return {
    listener: {
      exited: (event) => current.exited(event),
      oom: (containerId, who) => current.oom(containerId, who),
      listening: (ports) => current.listening?.(ports),
    },
    listen(heard) {
      current = heard;
    },
  };
}
