/** A unix socket that waits for exactly one connection: a child that calls back. */
import { createServer, type Socket } from "node:net";
import { listenOnUnixSocket } from "./unix-server.ts";

export interface AcceptOne {
  readonly connection: Promise<Socket>;
  /** Stops waiting and removes the socket file; `connection` stays open for ever if nobody had come. */
  close(): void;
}

/** Rejects when the path cannot be listened on. */
export async function acceptOne(path: string): Promise<AcceptOne> {
  let accept: (socket: Socket) => void = () => {};
  const connection = new Promise<Socket>((resolve) => {
    accept = resolve;
  });
  const server = createServer((socket) => {
    // It may break before anybody has taken it; whoever does finds it destroyed.
    socket.on("error", () => {});
    accept(socket);
    // The second caller is a stranger.
    server.close();
  });
  server.maxConnections = 1;
  await listenOnUnixSocket(server, path);
  return { connection, close: () => void server.close() };
}
