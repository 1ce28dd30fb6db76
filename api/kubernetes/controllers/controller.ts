/**
 * The frame of every controller: watch → key → queue → reconcile from the current truth. Level-triggered:
 * an event only says where to look. A failed key is tried again with growing delays.
 */
import { messageOf } from "../../../common/errors.ts";
import type { StoreEvent } from "../../store/store.ts";
import type { ApiContext } from "../context.ts";

const firstRetryMs = 50;
const longestRetryMs = 30_000;

export interface ControllerForm {
  readonly name: string;
  /** Keys to look at after a change. */
  keysOf(event: StoreEvent): Iterable<string>;
  /** Keys to look at on start, and every `resyncMs`. */
  allKeys(): Iterable<string>;
  readonly resyncMs?: number;
  /** Reads the truth, acts. Must be safe to repeat. */
  reconcile(key: string): void;
}

export interface Controller {
  /** Runs until the signal aborts. */
  run(signal: AbortSignal): void;
}

export function createController(context: ApiContext, form: ControllerForm): Controller {
  const { clock } = context;
  const log = context.log.child({ controller: form.name });
  return {
    run(signal) {
      const queue = new Set<string>();
      const failures = new Map<string, number>();
      let scheduled = false;

      const enqueue = (keys: Iterable<string>) => {
        for (const key of keys) queue.add(key);
        if (queue.size === 0 || scheduled || signal.aborted) return;
        scheduled = true;
        // A turn of the event loop later: the write that caused this is answered first.
        setImmediate(drain);
      };
      const drain = () => {
        scheduled = false;
        const keys = [...queue];
        queue.clear();
        for (const key of keys) {
          if (signal.aborted) return;
          attempt(key);
        }
        enqueue([]);
      };
      const attempt = (key: string) => {
        try {
          form.reconcile(key);
          failures.delete(key);
        } catch (error) {
          const count = (failures.get(key) ?? 0) + 1;
          failures.set(key, count);
          const delayMs = Math.min(firstRetryMs * 2 ** (count - 1), longestRetryMs);
          log.warn({ key, err: error, delayMs }, `reconcile failed: ${messageOf(error)}`);
          void after(delayMs, () => enqueue([key]));
        }
      };
      const after = async (delayMs: number, work: () => void) => {
        try {
          await clock.sleep(delayMs, signal);
        } catch {
          return; // The server closes.
        }
        work();
      };
      const resync = (everyMs: number) =>
        void after(everyMs, () => {
          enqueue(form.allKeys());
          resync(everyMs);
        });

      const stopListening = context.store.onEvent((event) => enqueue(form.keysOf(event)));
      signal.addEventListener("abort", stopListening, { once: true });
      enqueue(form.allKeys());
      if (form.resyncMs !== undefined) resync(form.resyncMs);
    },
  };
}

/** Names of all objects of one storage, for `allKeys`. */
export function* keysInStore(context: ApiContext, resource: string): Generator<string> {
  for (const { metadata } of context.store.list({ resource }).objects) {
    yield metadata.namespace === undefined
      ? (metadata.name ?? "")
      : `${metadata.namespace}/${metadata.name}`;
  }
}
