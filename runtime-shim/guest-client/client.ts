/**
 * Our side of the guest protocol over one byte stream: requests side by side, events, streams.
 * Whatever breaks the protocol ends the connection; then everything that is open fails with the reason.
 */

import type { Duplex } from "node:stream";
import { getSystemErrorMap } from "node:util";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { shimError } from "../errors.ts";
import { createAllowance } from "./allowance.ts";
import { startDeadline } from "./deadline.ts";
import { decodeFields, encodeFields, type FieldList, type Fields } from "./fields.ts";
import {
  createGuestFrameDecoder,
  encodeGuestFrame,
  frameHeaderBytes,
  type GuestFrame,
} from "./frames.ts";
import { FrameKind, GuestEvent, Verb, type VerbName } from "./protocol.ts";
import { createGuestStream, type GuestStream, type StreamDirection } from "./stream.ts";

export interface ExitedEvent {
  readonly id: string;
  /** Empty for the container's first process. */
  readonly execId: string;
  /** The exit code, or 128 + signal. */
  readonly exitCode: number;
  /** Who ran out of memory, where that is what ended it. */
  readonly outOfMemory: OutOfMemory | undefined;
}

/** A container at its own limit, or the whole guest. */
export type OutOfMemory = "container" | "guest";

export interface GuestListener {
  exited(event: ExitedEvent): void;
  oom(containerId: string, who: OutOfMemory): void;
  /** All TCP ports that are listened on; only after the request `listeners`. Not to be trusted. */
  listening?(ports: readonly number[]): void;
}

export interface GuestClient {
  /**
   * Rejects with GUEST_REFUSED (details.errno, e.g. "ENOENT"), GUEST_TIMEOUT or GUEST_GONE. A guest
   * that lets the time pass is given up, unless a program of the pod can hold this verb up.
   */
  request(verb: VerbName, fields?: FieldList, timeoutMs?: number): Promise<Fields>;
  /** Gives out the id of a new stream; name it in the next request. */
  openStream(direction?: StreamDirection): GuestStream;
  /** Resolves with the reason once the connection is over. */
  readonly closed: Promise<string>;
  close(reason: string): void;
}

// No verb waits for a process or a user, so silence means a guest that hangs or will not. The slowest
// verbs wait for a disk (10 s); ten boots at once on two cores stretch all of them.
const defaultTimeoutMs = 60_000;
// A container may be frozen between its program's fork and execve, and a server may accept nobody.
const heldUpByPrograms: readonly VerbName[] = ["start", "exec", "dial"];
// What an honest guest still sends of a stream that was closed here is at most a window, in frames of
// nine bytes and more each; that of very many streams is never under way at once.
const strayBytesPerStream = 1 << 20;
const maxStrayBytes = 64 << 20;
// A pod whose programs end more often is none; a burst is what waited while the shim was busy.
const maxEvents = 10_000;
const eventsPerSecond = 1_000;
const maxEventFields = 64;

/** "ENOENT" of a refusal; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  const details = (error as { details?: { errno?: unknown } } | undefined)?.details;
  return typeof details?.errno === "string" ? details.errno : undefined;
}

export function createGuestClient(
  transport: Duplex,
  options: {
    readonly log: Logger;
    readonly listener: GuestListener;
    /** How long a request may go unanswered. */
    readonly timeoutMs?: number | undefined;
  },
): GuestClient {
  const { log, listener } = options;
  const pending = new Map<number, { resolve(f: Fields): void; reject(e: unknown): void }>();
  const streams = new Map<number, GuestStream>();
  // Who has something to send that the guest has not made room for, the longest waiting first.
  const waiting = new Set<() => void>();
  const strays = createAllowance({
    ...{ max: maxStrayBytes, initial: 0, perSecond: 0 },
    words: "the guest goes on with streams that are closed",
  });
  const events = createAllowance({
    ...{ max: maxEvents, initial: maxEvents, perSecond: eventsPerSecond },
    words: `the guest sent more than ${eventsPerSecond} events a second`,
  });
  const decoder = createGuestFrameDecoder();
  let nextRequest = 1;
  let nextStream = 1;
  let over: string | undefined;
  let tellClosed: (reason: string) => void = () => {};
  const closed = new Promise<string>((resolve) => {
    tellClosed = resolve;
  });

  const send = (kind: number, id: number, ...parts: readonly Buffer[]) => {
    if (over === undefined) transport.write(encodeGuestFrame(kind, id, ...parts));
  };
  const hasRoom = (retry: () => void) => {
    if (transport.writableNeedDrain) waiting.add(retry);
    return !transport.writableNeedDrain;
  };
  const finish = (reason: string) => {
    if (over !== undefined) return;
    over = reason;
    transport.destroy();
    const error = shimError("GUEST_GONE", reason);
    for (const call of pending.values()) call.reject(error);
    pending.clear();
    for (const stream of [...streams.values()]) stream.destroy(error);
    streams.clear();
    waiting.clear();
    tellClosed(reason);
  };

  transport.on("error", (error) =>
    finish(`the connection to the guest failed: ${messageOf(error)}`),
  );
  transport.on("close", () => finish("the guest closed its connection"));
  transport.on("end", () => finish("the guest closed its connection"));
  // It may have come and gone before anybody listened.
  if (transport.destroyed) finish("the guest closed its connection");
  transport.on("drain", () => {
    for (const retry of waiting) {
      if (transport.writableNeedDrain) return;
      waiting.delete(retry);
      retry();
    }
  });
  transport.on("data", (chunk: Buffer) => {
    try {
      for (const frame of decoder.push(chunk)) handle(frame);
    } catch (error) {
      log.warn({ error: messageOf(error) }, "guest broke the protocol");
      finish(messageOf(error));
    }
  });

  function handle({ kind, id, body }: GuestFrame): void {
    if (kind === FrameKind.reply) {
      const call = pending.get(id);
      if (call === undefined) throw broken(`answered request ${id}, which waits for no answer`);
      pending.delete(id);
      const status = body.readUInt32BE(0);
      const fields = decodeFields(body.subarray(4));
      if (status === 0) call.resolve(fields);
      else call.reject(refusal(status, fields.words(1)));
    } else if (kind === FrameKind.event) {
      events.take(1);
      handleEvent(body.readUInt8(0), decodeFields(body.subarray(1), maxEventFields));
    } else if (id === 0 || id >= nextStream) {
      throw broken(`used stream ${id}, which it was not given`);
    } else {
      const stream = streams.get(id);
      // It was closed here while its last frames were under way.
      if (stream === undefined) strays.take(frameHeaderBytes + body.length);
      else stream.receive(kind, body);
    }
  }

  function handleEvent(type: number, fields: Fields): void {
    if (type === GuestEvent.exited) {
      listener.exited({
        id: fields.text(1) ?? "",
        execId: fields.text(2) ?? "",
        exitCode: fields.number(3) ?? 255,
        outOfMemory: outOfMemory(fields.number(4)),
      });
    } else if (type === GuestEvent.oom) {
      listener.oom(fields.text(1) ?? "", outOfMemory(fields.number(2)) ?? "container");
    } else if (type === GuestEvent.listening) {
      listener.listening?.(fields.numbers(1));
    } else if (type === GuestEvent.broken) {
      throw broken(`agent gave up: ${fields.words(1) ?? "no reason"}`);
    }
  }

  return {
    closed,
    close: finish,
    openStream(direction) {
      const id = nextStream;
      nextStream += 1;
      const forget = (streamId: number) => {
        if (streams.delete(streamId)) strays.add(strayBytesPerStream);
      };
      const stream = createGuestStream(id, { send, hasRoom, forget }, direction);
      // Whoever uses it listens too; a stream that dies unused must not end the process.
      stream.on("error", () => {});
      if (over === undefined) streams.set(id, stream);
      else stream.destroy(shimError("GUEST_GONE", over));
      return stream;
    },
    async request(verb, fields = [], timeoutMs = options.timeoutMs ?? defaultTimeoutMs) {
      if (over !== undefined) throw shimError("GUEST_GONE", over);
      const id = nextRequest;
      nextRequest = nextRequest === 0xffffffff ? 1 : nextRequest + 1;
      const body = encodeFields(fields);
      let cancel = () => {};
      try {
        return await new Promise<Fields>((resolve, reject) => {
          pending.set(id, { resolve, reject });
          cancel = startDeadline(timeoutMs, () => {
            const words = `the guest did not answer ${verb} in ${timeoutMs / 1000} s`;
            reject(shimError("GUEST_TIMEOUT", words));
            // A late answer to the others would find nobody who can use it.
            if (!heldUpByPrograms.includes(verb)) finish(words);
          });
          send(FrameKind.request, id, Buffer.from([Verb[verb]]), body);
        });
      } finally {
        cancel();
      }
    },
  };
}

function outOfMemory(wire: number | undefined): OutOfMemory | undefined {
  return wire === 1 ? "container" : wire === 2 ? "guest" : undefined;
}

function refusal(status: number, words: string | undefined) {
  const known = getSystemErrorMap().get(-status);
  const errno = known?.[0] ?? `errno ${status}`;
  return shimError("GUEST_REFUSED", words || (known?.[1] ?? errno), { details: { errno } });
}

function broken(what: string) {
  return shimError("GUEST_PROTOCOL", `the guest ${what}`);
}
