/**
 * Our side of the guest protocol over one byte stream: requests side by side, events, streams.
 * Whatever breaks the protocol ends the connection; then everything that is open fails with the reason.
 */

import type { Duplex } from "node:stream";
import { getSystemErrorMap } from "node:util";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { shimError } from "../errors.ts";
import { decodeFields, encodeFields, type FieldList, type Fields } from "./fields.ts";
import { createGuestFrameDecoder, encodeGuestFrame, type GuestFrame } from "./frames.ts";
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
   * Rejects with GUEST_REFUSED (details.errno, e.g. "ENOENT"), GUEST_TIMEOUT or GUEST_GONE.
   */
  request(verb: VerbName, fields?: FieldList): Promise<Fields>;
  /** Gives out the id of a new stream; name it in the next request. */
  openStream(direction?: StreamDirection): GuestStream;
  /** Resolves with the reason once the connection is over. */
  readonly closed: Promise<string>;
  close(reason: string): void;
}

// No verb waits for a process or a user, so silence means a guest that hangs or will not. The slowest
// verbs wait for a disk (10 s) or for connect(2); ten boots at once on two cores stretch all of them.
const requestTimeoutMs = 60_000;

/** "ENOENT" of a refusal; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  const details = (error as { details?: { errno?: unknown } } | undefined)?.details;
  return typeof details?.errno === "string" ? details.errno : undefined;
}

export function createGuestClient(
  transport: Duplex,
  options: { readonly log: Logger; readonly listener: GuestListener },
): GuestClient {
  const { log, listener } = options;
  const pending = new Map<number, { resolve(f: Fields): void; reject(e: unknown): void }>();
  const streams = new Map<number, GuestStream>();
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
  const finish = (reason: string) => {
    if (over !== undefined) return;
    over = reason;
    transport.destroy();
    const error = shimError("GUEST_GONE", reason);
    for (const call of pending.values()) call.reject(error);
    pending.clear();
    for (const stream of [...streams.values()]) stream.destroy(error);
    streams.clear();
    tellClosed(reason);
  };

  transport.on("error", (error) =>
    finish(`the connection to the guest failed: ${messageOf(error)}`),
  );
  transport.on("close", () => finish("the guest closed its connection"));
  transport.on("end", () => finish("the guest closed its connection"));
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
      // A reply to a request that timed out here.
      if (call === undefined) return;
      pending.delete(id);
      const status = body.readUInt32BE(0);
      const fields = decodeFields(body.subarray(4));
      if (status === 0) call.resolve(fields);
      else call.reject(refusal(status, fields.words(1)));
    } else if (kind === FrameKind.event) {
      handleEvent(body.readUInt8(0), decodeFields(body.subarray(1)));
    } else {
      // An unknown stream was closed here while its last frames were under way.
      streams.get(id)?.receive(kind, body);
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
      throw shimError(
        "GUEST_PROTOCOL",
        `the guest agent gave up: ${fields.words(1) ?? "no reason"}`,
      );
    }
  }

  return {
    closed,
    close: finish,
    openStream(direction) {
      const id = nextStream;
      nextStream += 1;
      const forget = (streamId: number) => void streams.delete(streamId);
      const stream = createGuestStream(id, { send, forget }, direction);
      // Whoever uses it listens too; a stream that dies unused must not end the process.
      stream.on("error", () => {});
      if (over === undefined) streams.set(id, stream);
      else stream.destroy(shimError("GUEST_GONE", over));
      return stream;
    },
    async request(verb, fields = []) {
      if (over !== undefined) throw shimError("GUEST_GONE", over);
      const id = nextRequest;
      nextRequest = nextRequest === 0xffffffff ? 1 : nextRequest + 1;
      let timer: NodeJS.Timeout | undefined;
      const body = encodeFields(fields);
      try {
        return await new Promise<Fields>((resolve, reject) => {
          pending.set(id, { resolve, reject });
          timer = setTimeout(() => {
            const words = `the guest did not answer ${verb} in ${requestTimeoutMs / 1000} s`;
            reject(shimError("GUEST_TIMEOUT", words));
          }, requestTimeoutMs);
          send(FrameKind.request, id, Buffer.from([Verb[verb]]), body);
        });
      } finally {
        clearTimeout(timer);
        pending.delete(id);
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
