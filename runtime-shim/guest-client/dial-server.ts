/**
 * A unix socket through which others reach TCP ports in the pod, in hybrid-vsock style:
 * `CONNECT <port>\n` is answered with `OK <port>\n` or `ERROR <words>\n`, then raw bytes follow.
 */
import { createServer, type Server, type Socket } from "node:net";
import { messageOf } from "../../common/errors.ts";
import { listenOnUnixSocket } from "../../common/sockets/unix-server.ts";
import type { GuestClient } from "./client.ts";

export interface DialServer {
  close(): Promise<void>;
}

// "CONNECT 65535\n" and some room for a client that says a little more.
const maxLineBytes = 64;

export async function startDialServer(path: string, guest: GuestClient): Promise<DialServer> {
  const sockets = new Set<Socket>();
  // Half-open: a client may finish sending and still wait for the answer.
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    readLine(socket, (line) => {
      void dial(socket, guest, line);
    });
  });
  await listenOnUnixSocket(server, path);
  return {
    close() {
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      return stopped;
    },
  };
}

/** Leaves the bytes behind the line in the socket. */
function readLine(socket: Socket, use: (line: string | undefined) => void): void {
  let seen = Buffer.alloc(0);
  const onReadable = () => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
      seen = Buffer.concat([seen, chunk as Buffer]);
      const end = seen.indexOf(0x0a);
      if (end < 0 && seen.length <= maxLineBytes) continue;
      socket.off("readable", onReadable).off("end", onEnd);
      const rest = seen.subarray(end + 1);
      if (end >= 0 && rest.length > 0) socket.unshift(rest);
      use(end < 0 || end > maxLineBytes ? undefined : seen.subarray(0, end).toString("latin1"));
      return;
    }
  };
  // Half-open as we are, nothing else would close for a caller who leaves without a word.
  const onEnd = () => socket.destroy();
  socket.on("readable", onReadable).on("end", onEnd);
}

async function dial(socket: Socket, guest: GuestClient, line: string | undefined): Promise<void> {
  const port = Number(/^CONNECT (\d{1,5})\r?$/.exec(line ?? "")?.[1]);
  if (!(port >= 1 && port <= 65_535)) {
    socket.end("ERROR expected: CONNECT <port>\n");
    return;
  }
  try {
    await joinPort(socket, guest, port, () => socket.write(`OK ${port}\n`));
  } catch (error) {
    socket.end(`ERROR ${messageOf(error).replaceAll("\n", " ")}\n`);
  }
}

/** Joins a connection with a TCP port of the pod. Rejects when nothing listens there. */
export async function joinPort(
  socket: Socket,
  guest: GuestClient,
  port: number,
  joined = () => {},
): Promise<void> {
  const stream = guest.openStream();
  try {
    await guest.request("dial", [
      [1, stream.streamId],
      [2, port],
    ]);
  } catch (error) {
    stream.destroy();
    throw error;
  }
  joined();
  socket.pipe(stream);
  stream.pipe(socket);
  stream.on("error", () => socket.destroy());
  socket.on("close", () => stream.destroy());
  stream.on("close", () => socket.destroySoon());
}
