/**
 * What listens in the guest listens on the loopback of the pod's network namespace, too: containerd's
 * PortForward, and anybody who enters the namespace, dials 127.0.0.1 there, where the VM is not.
 */
import { spawn } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";

export interface PodListeners {
  /** All ports that are listened on now, as the guest says: no more than `maxPorts` are followed. */
  update(ports: readonly number[]): void;
  close(): Promise<void>;
}

const maxPorts = 64;

// A guest that listens and leaves all the time costs a process each time: no more than one a second.
const pauseMs = 1_000;

/**
 * A socket belongs to the namespace it was made in, whoever holds it. So a short-lived process in the
 * pod's namespace makes those that listen and hands them over; one that cannot be made is left out.
 */
const opener = `
const { createServer } = require("node:net");
const ports = process.argv.slice(1).map(Number);
let left = ports.length;
const end = () => process.kill(process.pid, "SIGKILL");
const done = () => { left -= 1; if (left === 0) end(); };
process.on("disconnect", end);
for (const port of ports) {
  const server = createServer();
  server.on("error", (error) => process.send({ port, error: error.code }, done));
  server.listen({ port, host: "127.0.0.1" }, () => process.send({ port }, server, done));
}`;

export function createPodListeners(dependencies: {
  readonly netnsPath: string;
  readonly log: Logger;
  /** Joins a connection with the port in the guest. */
  connect(socket: Socket, port: number): void;
}): PodListeners {
  const { netnsPath, log, connect } = dependencies;
  const open = new Map<number, Server>();
  const refused = new Set<number>();
  const sockets = new Set<Socket>();
  const stopping = new AbortController();
  let wanted: ReadonlySet<number> = new Set();
  let work: Promise<void> | undefined;

  const missing = () => [...wanted].filter((port) => !open.has(port) && !refused.has(port));
  const take = (port: number, handle: Server) => {
    if (stopping.signal.aborted || !wanted.has(port)) {
      handle.close();
      return;
    }
    // Half-open: a client may finish sending and still wait for the answer.
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      socket.on("error", () => {});
      connect(socket, port);
    });
    server.on("error", (error) =>
      log.debug({ port, error: messageOf(error) }, "a listener failed"),
    );
    server.listen(handle);
    open.set(port, server);
  };
  const openMissing = async () => {
    while (!stopping.signal.aborted && missing().length > 0) {
      const ports = missing();
      const failure = await openIn(netnsPath, ports, take, stopping.signal);
      for (const port of ports) if (!open.has(port)) refused.add(port);
      log.debug({ ports, failure }, "the pod's loopback listens for the guest");
      await sleep(pauseMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    }
    work = undefined;
  };
  return {
    update(ports) {
      wanted = new Set(ports.filter((port) => port > 0 && port < 65_536).slice(0, maxPorts));
      for (const [port, server] of open) {
        if (wanted.has(port)) continue;
        // Connections that were accepted go on, as they do where a program stops listening.
        server.close();
        open.delete(port);
      }
      for (const port of refused) if (!wanted.has(port)) refused.delete(port);
      if (!stopping.signal.aborted) work ??= openMissing();
    },
    async close() {
      stopping.abort();
      for (const server of open.values()) server.close();
      open.clear();
      for (const socket of sockets) socket.destroy();
      await work;
    },
  };
}

/** Resolves when the process has ended; with words, when it failed as a whole. */
function openIn(
  netnsPath: string,
  ports: readonly number[],
  take: (port: number, server: Server) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const enter = [`--net=${netnsPath}`, "--", process.execPath, "-e", opener];
    const child = spawn("nsenter", [...enter, ...ports.map(String)], {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      signal,
      killSignal: "SIGKILL",
    });
    child.on("message", ({ port }: { port: number }, handle) => {
      if (handle !== undefined) take(port, handle as Server);
    });
    child.once("error", (error) => resolve(messageOf(error)));
    child.once("close", () => resolve(undefined));
  });
}
