/** ttrpc, the asking side: unary calls side by side over one unix socket. */

import type { Socket } from "node:net";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { isSimError, messageOf, type SimError } from "../../common/errors.ts";
import { connectToUnixSocket } from "../../common/sockets/unix-server.ts";
import { RequestSchema, ResponseSchema } from "../../proto/containerd/gen/ttrpc_pb.js";
import { GrpcCode, shimError } from "../errors.ts";
import { createFrameDecoder, encodeFrame, MessageType, maxMessageBytes } from "./frames.ts";

export interface CallOptions {
  /** Sent to the server and enforced here; absent = wait as long as the connection lives. */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Replaces the descriptor's service name, e.g. "containerd.task.v3.Task". */
  readonly service?: string;
  readonly signal?: AbortSignal;
}

export interface TtrpcClient {
  /**
   * Rejects with TTRPC_STATUS (see `grpcCodeOf`) when the server refused, TTRPC_TIMEOUT, or
   * TTRPC_CLOSED when the connection ended first.
   */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options?: CallOptions,
  ): Promise<MessageShape<O>>;
  /** Resolves once the connection has ended, from either side. */
  readonly closed: Promise<void>;
  close(): void;
}

/** "unix:///run/x.sock" or a plain path. */
export function socketPathOf(address: string): string {
  return address.trim().replace(/^unix:\/\//, "");
}

/** Rejects with TTRPC_CLOSED naming the address when nobody listens. */
export async function connectTtrpc(
  address: string,
  defaults: Pick<CallOptions, "metadata" | "timeoutMs"> = {},
): Promise<TtrpcClient> {
  try {
    return createTtrpcClient(await connectToUnixSocket(socketPathOf(address)), defaults);
  } catch (error) {
    throw shimError("TTRPC_CLOSED", `cannot connect to ${address}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The google.rpc.Code a server answered with; undefined when the call did not get that far. */
export function grpcCodeOf(error: unknown): number | undefined {
  const code = isSimError(error) ? error.details?.grpcCode : undefined;
  return typeof code === "number" ? code : undefined;
}

interface Pending {
  resolve(payload: Uint8Array): void;
  reject(error: SimError): void;
}

export function createTtrpcClient(
  socket: Socket,
  defaults: Pick<CallOptions, "metadata" | "timeoutMs"> = {},
): TtrpcClient {
  const pending = new Map<number, Pending>();
  const decoder = createFrameDecoder();
  let nextId = 1;
  let ended = false;

  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      ended = true;
      for (const call of pending.values()) {
        call.reject(shimError("TTRPC_CLOSED", "the connection was closed before the answer came"));
      }
      pending.clear();
      resolve();
    });
  });
  // The reason is in "close"'s wake: pending calls are rejected there.
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    for (const frame of decoder.push(chunk)) {
      const call = pending.get(frame.streamId);
      // An answer to a call that timed out, or one nobody asked for.
      if (call === undefined || frame.type !== MessageType.response) continue;
      pending.delete(frame.streamId);
      if (frame.oversize) {
        call.reject(shimError("TTRPC_FRAME", `the answer is longer than ${maxMessageBytes} bytes`));
      } else {
        settle(call, frame.payload);
      }
    }
  });

  return {
    closed,
    close: () => socket.destroy(),
    async call(method, request, options = {}) {
      const { signal } = options;
      const timeoutMs = options.timeoutMs ?? defaults.timeoutMs;
      const metadata = { ...defaults.metadata, ...options.metadata };
      const name = `${options.service ?? method.parent.typeName}/${method.name}`;
      signal?.throwIfAborted();
      if (ended) throw shimError("TTRPC_CLOSED", `${name}: the connection is closed`);
      const payload = toBinary(
        RequestSchema,
        create(RequestSchema, {
          service: options.service ?? method.parent.typeName,
          method: method.name,
          payload: toBinary(method.input, create(method.input, request)),
          timeoutNano: timeoutMs === undefined ? 0n : BigInt(Math.ceil(timeoutMs)) * 1_000_000n,
          metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
        }),
      );
      if (payload.length > maxMessageBytes) {
        throw shimError(
          "TTRPC_FRAME",
          `${name}: the request is longer than ${maxMessageBytes} bytes`,
        );
      }
      const id = nextId;
      nextId += 2;
      let cleanup = () => {};
      const answer = await new Promise<Uint8Array>((resolve, reject) => {
        pending.set(id, { resolve, reject });
        const giveUp = (error: unknown) => {
          pending.delete(id);
          reject(error);
        };
        const timer =
          timeoutMs === undefined
            ? undefined
            : setTimeout(
                () =>
                  giveUp(shimError("TTRPC_TIMEOUT", `${name} did not answer in ${timeoutMs} ms`)),
                timeoutMs,
              );
        const onAbort = () => giveUp(signal?.reason);
        signal?.addEventListener("abort", onAbort, { once: true });
        cleanup = () => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", onAbort);
        };
        socket.write(encodeFrame(id, MessageType.request, payload));
      }).finally(() => cleanup());
      return fromBinary(method.output, answer);
    },
  };
}

function settle(call: Pending, payload: Buffer): void {
  try {
    const response = fromBinary(ResponseSchema, payload);
    const code = response.status?.code ?? GrpcCode.ok;
    if (code === GrpcCode.ok) call.resolve(response.payload);
    else {
      call.reject(
        shimError("TTRPC_STATUS", response.status?.message ?? "", { details: { grpcCode: code } }),
      );
    }
  } catch (error) {
    call.reject(
      shimError("TTRPC_FRAME", `unreadable answer: ${messageOf(error)}`, { cause: error }),
    );
  }
}
