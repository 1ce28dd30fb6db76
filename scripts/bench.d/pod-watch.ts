/** Who waits for which pod: told by the events of one watch, at the moment they come in. */

export interface PodEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: {
    readonly metadata?: { readonly name?: string };
    readonly status?: {
      readonly phase?: string;
      readonly reason?: string;
      readonly message?: string;
      readonly containerStatuses?: ReadonlyArray<{
        readonly state?: { readonly running?: object; readonly waiting?: { reason?: string } };
      }>;
    };
  };
}

export interface PodWatch {
  /** When (performance.now) the pod was first seen running, with its container. */
  running(pod: string): Promise<number>;
  /** When it was first seen deleted. */
  deleted(pod: string): Promise<number>;
  take(event: PodEvent): void;
  /** Rejects everybody who waits, now and later. Only the first call counts. */
  end(why: Error): void;
}

interface Waiter {
  readonly pod: string;
  readonly what: string;
  readonly is: (event: PodEvent) => boolean;
  readonly resolve: (atMs: number) => void;
  readonly reject: (why: Error) => void;
}

// Fifty VMs that boot at once on two cores need minutes; a pod that will never run needs an end.
const timeoutMs = 600_000;

export function createPodWatch(signal: AbortSignal): PodWatch {
  const waiters = new Set<Waiter>();
  let ended: Error | undefined;
  const end = (why: Error) => {
    ended ??= why;
    for (const { reject } of waiters) reject(why);
    waiters.clear();
  };
  signal.addEventListener("abort", () => end(signal.reason as Error), { once: true });

  const seen = (pod: string, what: string, is: Waiter["is"]) =>
    new Promise<number>((resolve, reject) => {
      if (ended !== undefined) return reject(ended);
      const waiter: Waiter = { pod, what, is, resolve, reject };
      waiters.add(waiter);
      const timer = setTimeout(() => {
        if (waiters.delete(waiter))
          reject(new Error(`pod ${pod} is not ${what} after ${timeoutMs} ms`));
      }, timeoutMs);
      timer.unref();
    });
  return {
    running: (pod) => seen(pod, "running", isRunning),
    deleted: (pod) => seen(pod, "deleted", ({ type }) => type === "DELETED"),
    take(event) {
      const atMs = performance.now();
      const name = event.object.metadata?.name;
      for (const waiter of waiters) {
        if (waiter.pod !== name) continue;
        const { reason, message, phase } = event.object.status ?? {};
        if (waiter.is(event)) {
          waiters.delete(waiter);
          waiter.resolve(atMs);
        } else if (waiter.is === isRunning && phase === "Failed") {
          waiters.delete(waiter);
          waiter.reject(new Error(`pod ${name} failed: ${reason} ${message}`));
        }
      }
    },
    end,
  };
}

function isRunning({ type, object: { status } }: PodEvent): boolean {
  return (
    type !== "DELETED" &&
    status?.phase === "Running" &&
    status.containerStatuses?.[0]?.state?.running !== undefined
  );
}
