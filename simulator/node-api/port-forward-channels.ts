/**
 * `/portForward` in the form of browsers and the JavaScript and Python clients: WebSocket channels of
 * subprotocol v4.channel.k8s.io, 2i data and 2i+1 errors of the i-th port asked for; the first message
 * of each is the port, little endian. One TCP connection per port.
 * Source: k8s.io/kubelet pkg/cri/streaming/portforward/websocket.go.
 */
import { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";
import type { Logger } from "../../common/log.ts";
import { nodeApiError } from "./errors.ts";
import {
  joinConnections,
  type PortForwardTarget,
  parsePort,
  portForwardErrorText,
} from "./port-forward.ts";
import { bufferOf, createChannelSink, createReadGate } from "./websocket-channels.ts";

export const channelPortForwardProtocol = "v4.channel.k8s.io";

// The channel is one byte, and each port takes two.
const maxPorts = 128;
const lingerMs = 5_000;

/** Takes `port=80&port=81`, `port=80,81` and the API server's `ports`. Throws BAD_OPTIONS. */
export function parsePorts(query: URLSearchParams): readonly number[] {
  const texts = [...query.getAll("port"), ...query.getAll("ports")].flatMap((text) =>
    text.split(","),
  );
  if (texts.length === 0) throw nodeApiError("BAD_OPTIONS", 'query parameter "port" is required');
  const ports: number[] = [];
  for (const text of texts) {
    const port = parsePort(text);
    if (port === undefined) {
      throw nodeApiError("BAD_OPTIONS", `unable to parse "${text}" as a port: must be 1 to 65535`);
    }
    ports.push(port);
  }
  if (ports.length > maxPorts) {
    throw nodeApiError("BAD_OPTIONS", `at most ${maxPorts} ports fit in one connection`);
  }
  return ports;
}

/** Resolves when every port's connection is through or the client has gone. */
export async function servePortForwardChannels(
  socket: WebSocket,
  ports: readonly number[],
  target: PortForwardTarget,
  log: Logger,
): Promise<void> {
  const gate = createReadGate(socket);
  const blocked = new Set<number>();
  const clients = ports.map((_, index) => {
    const sink = createChannelSink(socket, 2 * index);
    const duplex = new Duplex({
      read: () => {
        blocked.delete(index);
        if (blocked.size === 0) gate.open();
      },
      write: (chunk: Buffer, _encoding, done) => void sink.write(chunk, done),
    });
    duplex.on("error", () => {});
    return duplex;
  });
  socket.on("message", (raw: RawData) => {
    const message = bufferOf(raw);
    const index = (message[0] ?? 1) / 2;
    const client = Number.isInteger(index) ? clients[index] : undefined;
    if (client === undefined || client.destroyed || message.length < 2) return;
    if (client.push(message.subarray(1))) return;
    blocked.add(index);
    gate.close();
  });
  socket.on("error", () => {});
  const gone = new Promise<void>((resolve) => {
    socket.once("close", () => {
      gate.release();
      for (const client of clients) client.destroy();
      resolve();
    });
  });

  const serveOne = async (client: Duplex, index: number, port: number) => {
    const portBytes = Buffer.alloc(2);
    portBytes.writeUInt16LE(port);
    const errors = createChannelSink(socket, 2 * index + 1);
    createChannelSink(socket, 2 * index).write(portBytes);
    errors.write(portBytes);
    try {
      const connection = await target.connect(port);
      // There is no half-close in this protocol: the pod's end ends the connection.
      connection.once("end", () => client.push(null));
      await joinConnections(client, connection).catch((cause: unknown) => {
        log.debug({ err: cause, port }, "a forwarded connection broke");
      });
    } catch (cause) {
      log.debug({ err: cause, port }, "port forwarding failed");
      errors.write(portForwardErrorText(port, target.sandboxId, cause));
    } finally {
      blocked.delete(index);
      if (blocked.size === 0) gate.open();
    }
  };
  const all = Promise.all(
    clients.map((client, index) => serveOne(client, index, ports[index] ?? 0)),
  );
  await Promise.race([all, gone]);
  gate.release();
  socket.close(1000);
  const linger = setTimeout(() => socket.terminate(), lingerMs);
  linger.unref();
  await gone;
  clearTimeout(linger);
}
