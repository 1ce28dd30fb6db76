/**
 * ttrpc, the answering side: unary services over a unix socket, many connections, answers in any
 * order. A closed connection ends nothing that was answered: containerd comes back after a restart.
 */

import { createServer, type Socket } from "node:net";
import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { listenOnUnixSocket } from "../../common/sockets/unix-server.ts";
import {
  type Request,
  RequestSchema,
  ResponseSchema,
} from "../../proto/containerd/gen/ttrpc_pb.js";
import { GrpcCode, shimError, statusOf } from "../errors.ts";
import {
  createFrameDecoder,
  encodeFrame,
  flagRemoteOpen,
  MessageType,
  maxMessageBytes,
  type TtrpcFrame,
} from "./frames.ts";

export interface CallContext {
  readonly metadata: Readonly<Record<string, string>>;
  /** Aborts when the caller's deadline passes, or the caller is gone, before the answer. */
  readonly signal: AbortSignal;
}

/** One function per method of a generated service; what it throws becomes the call's status. */
export type ServiceHandlers<S extends DescService> = {
  readonly [M in keyof S["method"]]: (
    request: MessageShape<S["method"][M]["input"]>,
    context: CallContext,
  ) => Promise<MessageInitShape<S["method"][M]["output"]>>;
};

export interface TtrpcServer {
  /** `names` serves the same handlers under other service names too. */
  serve<S extends DescService>(
    service: S,
    handlers: ServiceHandlers<S>,
    names?: readonly string[],
  ): void;
  /** Takes over a stale socket file; rejects with EADDRINUSE when a live server has it. */
  listen(path: string): Promise<void>;
  /** Stops listening, ends the connections once their answers are written, removes the socket. */
  close(): Promise<void>;
}

type Handler = (request: unknown, context: CallContext) => Promise<unknown>;

export function createTtrpcServer(options: { readonly log: Logger }): TtrpcServer {
  const { log } = options;
  const services = new Map<string, Map<string, { method: DescMethod; handler: Handler }>>();
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
    socket.on("error", (error) => log.debug({ error: messageOf(error) }, "connection failed"));
    serveConnection(socket, answer);
  });

  async function answer(request: Request, gone: AbortSignal): Promise<Uint8Array> {
    const methods = services.get(request.service);
    const entry = methods?.get(request.method);
    if (methods === undefined || entry === undefined) {
      const what =
        methods === undefined ? `service ${request.service}` : `method ${request.method}`;
      return failure(GrpcCode.unimplemented, `${what} is not served here`);
    }
    const name = `${request.service}/${request.method}`;
    const controller = new AbortController();
    const leave = () => controller.abort(gone.reason);
    gone.addEventListener("abort", leave, { once: true });
    const deadline = deadlineOf(request);
    let timer: NodeJS.Timeout | undefined;
    try {
      const input = fromBinary(entry.method.input, request.payload);
      const metadata = Object.fromEntries(request.metadata.map(({ key, value }) => [key, value]));
      const work = entry.handler(input, { metadata, signal: controller.signal });
      const late =
        deadline === undefined
          ? undefined
          : new Promise<never>((_, reject) => {
              timer = setTimeout(() => {
                const error = shimError("TTRPC_TIMEOUT", `${name}: the caller's deadline passed`);
                controller.abort(error);
                reject(error);
              }, deadline);
            });
      // Work that fails after its deadline was answered is nobody's unhandled rejection.
      work.catch(() => {});
      const output = await (late === undefined ? work : Promise.race([work, late]));
      const payload = toBinary(
        entry.method.output,
        create(entry.method.output, output as MessageInitShape<typeof entry.method.output>),
      );
      return toBinary(ResponseSchema, create(ResponseSchema, { payload }));
    } catch (error) {
      const status = statusOf(error);
      log.info({ call: name, ...status }, "call failed");
      return failure(status.code, status.message);
    } finally {
      clearTimeout(timer);
      gone.removeEventListener("abort", leave);
    }
  }

  return {
    serve(service, handlers, names = []) {
      const methods = new Map<string, { method: DescMethod; handler: Handler }>();
      for (const method of service.methods) {
        const handler = (handlers as Record<string, Handler>)[method.localName];
        if (handler !== undefined) methods.set(method.name, { method, handler });
      }
      for (const name of [service.typeName, ...names]) services.set(name, methods);
    },
    listen: (path) => listenOnUnixSocket(server, path),
    async close() {
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of connections) socket.destroySoon();
      await stopped;
    },
  };
}

function serveConnection(
  socket: Socket,
  answer: (request: Request, gone: AbortSignal) => Promise<Uint8Array>,
): void {
  const gone = new AbortController();
  socket.once("close", () => {
    gone.abort(shimError("TTRPC_CLOSED", "the caller left before the answer"));
  });
  const decoder = createFrameDecoder();
  let lastId = 0;
  const reply = (streamId: number, payload: Uint8Array) => {
    if (socket.writable) socket.write(encodeFrame(streamId, MessageType.response, payload));
  };
  const refusalOf = (frame: TtrpcFrame): Uint8Array | undefined => {
    if (frame.streamId % 2 === 0 || frame.streamId <= lastId) {
      return failure(GrpcCode.invalidArgument, "stream ids must be odd and rising");
    }
    lastId = frame.streamId;
    if (frame.oversize) {
      return failure(
        GrpcCode.resourceExhausted,
        `the message is longer than ${maxMessageBytes} bytes`,
      );
    }
    if ((frame.flags & flagRemoteOpen) !== 0) {
      return failure(GrpcCode.unimplemented, "streaming calls are not served");
    }
    return undefined;
  };
  socket.on("data", (chunk: Buffer) => {
    for (const frame of decoder.push(chunk)) {
      // Data belongs to streaming calls, which were refused by their request.
      if (frame.type !== MessageType.request) continue;
      const refusal = refusalOf(frame);
      if (refusal !== undefined) {
        reply(frame.streamId, refusal);
        continue;
      }
      try {
        const request = fromBinary(RequestSchema, frame.payload);
        void answer(request, gone.signal).then((payload) => reply(frame.streamId, payload));
      } catch (error) {
        reply(
          frame.streamId,
          failure(GrpcCode.invalidArgument, `unreadable request: ${messageOf(error)}`),
        );
      }
    }
  });
}

/** Milliseconds left for the call; timers take at most 2^31-1. */
function deadlineOf({ timeoutNano }: Request): number | undefined {
  if (timeoutNano <= 0n) return undefined;
  const ms = Number(timeoutNano / 1_000_000n);
  return ms > 2 ** 31 - 1 ? undefined : Math.max(1, ms);
}

function failure(code: number, message: string): Uint8Array {
  return toBinary(ResponseSchema, create(ResponseSchema, { status: { code, message } }));
}
