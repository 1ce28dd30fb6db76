/** The HTTP half of an upgrade: choosing a protocol, answering 101 or refusing in plain HTTP. */
import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { nodeApiError } from "./errors.ts";

export type UpgradeKind = "websocket" | "spdy";

/** Throws UPGRADE_REQUIRED when the request asks for neither. */
export function upgradeKindOf(request: IncomingMessage): UpgradeKind {
  const asked = (request.headers.upgrade ?? "").toLowerCase();
  if (asked === "websocket") return "websocket";
  if (asked === "spdy/3.1") return "spdy";
  throw nodeApiError(
    "UPGRADE_REQUIRED",
    `unable to upgrade: unexpected upgrade header "${asked}", want SPDY/3.1 or websocket`,
  );
}

function listOf(header: string | string[] | undefined): readonly string[] {
  return [header ?? []]
    .flat()
    .flatMap((text) => text.split(","))
    .map((text) => text.trim())
    .filter((text) => text !== "");
}

/** The client's first choice that we speak. Throws PROTOCOL_NOT_SUPPORTED. */
export function negotiateProtocol(
  request: IncomingMessage,
  kind: UpgradeKind,
  supported: readonly string[],
): string {
  const offered = listOf(
    request.headers[kind === "spdy" ? "x-stream-protocol-version" : "sec-websocket-protocol"],
  );
  const chosen = offered.find((protocol) => supported.includes(protocol));
  if (chosen !== undefined) return chosen;
  throw nodeApiError(
    "PROTOCOL_NOT_SUPPORTED",
    `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(" ")}], ` +
      `server accepts [${supported.join(" ")}]`,
  );
}

/** Answers 101; what the client sent early is put back in front of the stream. */
export function acceptSpdy(socket: Duplex, head: Buffer, protocol: string): Duplex {
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n" +
      `X-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
  if (head.length > 0) socket.unshift(head);
  return socket;
}

// As large as the kubelet's (golang.org/x/net/websocket DefaultMaxPayloadBytes): the JavaScript client
// sends each chunk it is given as one message.
const maxMessageBytes = 32 * 1024 * 1024;

/**
 * Answers 101. The subprotocol header never reaches `ws`: it refuses SPDY/3.1+portforward.k8s.io, whose
 * slash is no RFC 7230 token character, though that is what kubectl sends.
 */
export function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
): Promise<WebSocket> {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  });
  server.on("headers", (headers) => headers.push(`Sec-WebSocket-Protocol: ${protocol}`));
  delete request.headers["sec-websocket-protocol"];
  return new Promise((resolve, reject) => {
    socket.once("close", () => reject(new Error("the client went away during the upgrade")));
    server.handleUpgrade(request, socket, head, resolve);
  });
}

/** Answers an upgrade request that fails, and closes. */
export function refuseUpgrade(socket: Duplex, statusCode: number, message: string): void {
  if (!socket.writable) return;
  const body = Buffer.from(message);
  socket.end(
    `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ""}\r\nConnection: close\r\n` +
      `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${message}`,
  );
}
