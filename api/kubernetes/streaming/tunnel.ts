/**
 * exec, attach and port-forward: the client's upgraded connection is tunnelled to the node agent byte
 * by byte. SPDY/3.1 and WebSocket pass alike; the agent speaks the protocols.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { apiError } from "../../errors.ts";
import type { HandlerContext } from "../http/exchange.ts";
import { parseResourcePath } from "../http/request-info.ts";
import { statusFromError } from "../http/status.ts";
import { findSubresource } from "../registry.ts";
import { noSuchPath } from "../status-errors.ts";
import { dialOptions, dialWords, type KubeletClient, openBackend } from "./forward.ts";
import { kubeletAddressOf } from "./kubelet-address.ts";
import { kubeletRequestOf } from "./kubelet-request.ts";

/** Ours to the client or ours from the client; they must not reach the agent. */
const ownHeaders = new Set(["host", "authorization", "content-length"]);

/** Serves one upgrade request whose user is already known. Owns `socket` from here on. */
export function serveUpgrade(
  context: HandlerContext,
  client: KubeletClient,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  socket.on("error", () => socket.destroy());
  try {
    const url = new URL(request.url ?? "/", "https://api");
    const path = parseResourcePath(url.pathname);
    const definition = path && context.registry.find(path.group, path.version, path.plural);
    if (path === undefined || definition === undefined) throw noSuchPath();
    const subresource = findSubresource(definition, path.subresource);
    if (subresource?.type !== "connect" || subresource.name === "log") throw noSuchPath();
    const { nodeName, path: kubeletPath } = kubeletRequestOf(
      context,
      { definition, ...path },
      url.searchParams,
    );
    const dial = dialOptions(client, kubeletAddressOf(context, nodeName));
    const backend = openBackend({
      ...dial,
      path: kubeletPath,
      method: request.method ?? "GET",
      headers: forwardedHeaders(request),
    });
    backend.on("upgrade", (answer, backendSocket, backendHead) => {
      socket.write(headText(answer, 101));
      socket.write(backendHead);
      backendSocket.write(head);
      join(context, socket, backendSocket);
    });
    // The agent may refuse in plain HTTP ("container not found"): its answer is the client's.
    backend.on("response", (answer) => {
      socket.write(headText(answer, answer.statusCode ?? 500));
      answer.pipe(socket);
    });
    backend.on("error", (error) =>
      refuseUpgrade(
        socket,
        apiError("NODE_UNREACHABLE", `error dialing backend: ${dialWords(error, dial)}`, {
          cause: error,
        }),
      ),
    );
    socket.on("close", () => backend.destroy());
    backend.end();
  } catch (error) {
    refuseUpgrade(socket, error);
  }
}

/** A Status over the not yet upgraded connection. */
export function refuseUpgrade(socket: Duplex, error: unknown): void {
  if (socket.destroyed) return;
  const status = statusFromError(error);
  const body = `${JSON.stringify(status)}\n`;
  socket.end(
    `HTTP/1.1 ${String(status.code)} ${String(status.reason)}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  );
}

function join(context: HandlerContext, client: Duplex, backend: Duplex): void {
  const forget = context.onClose(() => {
    client.destroy();
    backend.destroy();
  });
  client.pipe(backend);
  backend.pipe(client);
  backend.on("error", () => client.destroy());
  // Whichever side goes takes the other along: kubectl cp, for one, just drops the connection.
  client.on("close", () => {
    forget();
    backend.destroy();
  });
  backend.on("close", () => client.end());
}

function forwardedHeaders(request: IncomingMessage): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, values] of Object.entries(request.headersDistinct)) {
    if (!ownHeaders.has(name) && values !== undefined) headers[name] = values;
  }
  return headers;
}

function headText(answer: IncomingMessage, code: number): string {
  const lines = [`HTTP/1.1 ${code} ${answer.statusMessage || "Switching Protocols"}`];
  for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
    const name = answer.rawHeaders[i] ?? "";
    // A plain answer was already taken out of its chunks; closing the connection ends it.
    if (code !== 101 && /^(transfer-encoding|connection)$/i.test(name)) continue;
    lines.push(`${name}: ${answer.rawHeaders[i + 1] ?? ""}`);
  }
  if (code !== 101) lines.push("Connection: close");
  return `${lines.join("\r\n")}\r\n\r\n`;
}
