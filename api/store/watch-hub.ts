/** One committed change to many watchers, in commit order. A failing listener harms nobody else. */
import type { StoreEvent } from "./store.ts";

export type StoreListener = (event: StoreEvent) => void;

export interface WatchHub {
  publish(event: StoreEvent): void;
  subscribe(listener: StoreListener): () => void;
  close(): void;
}

export function createWatchHub(onListenerError: (error: unknown) => void = () => {}): WatchHub {
  const listeners = new Set<StoreListener>();
  const pending: StoreEvent[] = [];
  let publishing = false;
  return {
    publish(event) {
      // A listener may write to the store: its event must come after this one for everybody.
      pending.push(event);
      if (publishing) return;
      publishing = true;
      try {
        for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
          for (const listener of [...listeners]) {
            try {
              listener(next);
            } catch (error) {
              // The write is committed; the writer must not be told otherwise.
              onListenerError(error);
            }
          }
        }
      } finally {
        publishing = false;
      }
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    close: () => listeners.clear(),
  };
}
