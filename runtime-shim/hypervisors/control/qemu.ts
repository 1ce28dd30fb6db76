/** A QMP client: commands side by side, each with a deadline; events for whoever waits for one. */
import type { Socket } from "node:net";
import { messageOf } from "../../../common/errors.ts";
import { shimError } from "../../errors.ts";
import { createQmpDecoder, type QmpMessage } from "./qmp-messages.ts";

export interface QmpClient {
  /** Of the greeting, e.g. "7.2.22". */
  readonly version: Promise<string>;
  /** Rejects with VMM_CONTROL (QEMU's own words) or VMM_GONE. */
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Resolves with the event's data when `matches` says so. */
  waitFor(
    event: string,
    matches: (data: Record<string, unknown>) => boolean,
    timeoutMs: number,
  ): Promise<void>;
  /** Resolves with the reason once the connection is over. */
  readonly closed: Promise<string>;
  close(): void;
}

// QMP answers at once; a hypervisor that does not is stuck.
const commandTimeoutMs = 10_000;

interface EventWaiter {
  readonly event: string;
  matches(data: Record<string, unknown>): boolean;
  resolve(): void;
  reject(error: unknown): void;
}

export function createQmpClient(socket: Socket): QmpClient {
  const pending = new Map<number, { resolve(v: unknown): void; reject(e: unknown): void }>();
  const waiters = new Set<EventWaiter>();
  const decoder = createQmpDecoder();
  let nextId = 1;
  let ended = false;
  let tellClosed: (reason: string) => void = () => {};
  const closed = new Promise<string>((resolve) => {
    tellClosed = resolve;
  });
  const end = (reason: string) => {
    if (ended) return;
    ended = true;
    socket.destroy();
    const error = shimError("VMM_GONE", reason);
    for (const call of pending.values()) call.reject(error);
    for (const waiter of waiters) waiter.reject(error);
    pending.clear();
    waiters.clear();
    tellClosed(reason);
  };
  let greet: (version: string) => void = () => {};
  const version = new Promise<string>((resolve) => {
    greet = resolve;
  });
  const handle = (message: QmpMessage) => {
    if (message.kind === "event") {
      for (const waiter of waiters) {
        if (waiter.event !== message.name || !waiter.matches(message.data)) continue;
        waiters.delete(waiter);
        waiter.resolve();
      }
    } else if (message.kind === "greeting") {
      greet(message.version);
    } else {
      const call = pending.get(message.id);
      pending.delete(message.id);
      if (message.kind === "return") call?.resolve(message.value);
      else call?.reject(shimError("VMM_CONTROL", message.description));
    }
  };
  socket.on("error", (error) => end(`the connection to QEMU failed: ${messageOf(error)}`));
  socket.on("close", () => end("QEMU closed its control connection"));
  if (socket.destroyed) end("QEMU closed its control connection");
  socket.on("data", (chunk: Buffer) => {
    try {
      for (const message of decoder.push(chunk)) handle(message);
    } catch (error) {
      end(messageOf(error));
    }
  });

  return {
    version,
    closed,
    async execute(command, args = {}) {
      if (ended) throw shimError("VMM_GONE", "the connection to QEMU is closed");
      const id = nextId;
      nextId += 1;
      let timer: NodeJS.Timeout | undefined;
      try {
        return await new Promise((resolve, reject) => {
          pending.set(id, { resolve, reject });
          timer = setTimeout(
            () => reject(shimError("VMM_CONTROL", `QEMU did not answer ${command}`)),
            commandTimeoutMs,
          );
          socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
        });
      } finally {
        clearTimeout(timer);
        pending.delete(id);
      }
    },
    async waitFor(event, matches, timeoutMs) {
      let timer: NodeJS.Timeout | undefined;
      let waiter: EventWaiter | undefined;
      try {
        await new Promise<void>((resolve, reject) => {
          if (ended) return reject(shimError("VMM_GONE", "the connection to QEMU is closed"));
          waiter = { event, matches, resolve, reject };
          waiters.add(waiter);
          timer = setTimeout(
            () => reject(shimError("VMM_CONTROL", `QEMU sent no ${event} in ${timeoutMs} ms`)),
            timeoutMs,
          );
        });
      } finally {
        clearTimeout(timer);
        if (waiter !== undefined) waiters.delete(waiter);
      }
    },
    close: () => end("closed"),
  };
}
