/** Exec straight over a WebSocket (v5.channel.k8s.io, KEP-4006), as kubectl does it, without kubectl. */
import WebSocket from "ws";
import { type ApiClient, podsPath } from "./api-client.ts";

const protocol = "v5.channel.k8s.io";
const channel = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const;
const chunkBytes = 64 * 1024;

interface Status {
  readonly status?: "Success" | "Failure";
  readonly message?: string;
}

/** Connects, runs the command to its end and answers how many bytes came on its stdout. */
export async function exec(
  { credentials }: ApiClient,
  pod: string,
  command: readonly string[],
  stdin?: Buffer,
): Promise<number> {
  const { server, ca, cert, key } = credentials;
  const query = new URLSearchParams({ stdout: "true", stderr: "true" });
  if (stdin !== undefined) query.set("stdin", "true");
  for (const word of command) query.append("command", word);
  const url = `${server.replace(/^https/, "wss")}${podsPath}/${pod}/exec?${query}`;
  const socket = new WebSocket(url, protocol, { ca, cert, key, perMessageDeflate: false });
  let stdoutBytes = 0;
  let stderr = "";
  let status: Status | undefined;
  socket.on("message", (data: Buffer) => {
    if (data[0] === channel.stdout) stdoutBytes += data.length - 1;
    if (data[0] === channel.stderr) stderr += data.toString("utf8", 1);
    if (data[0] === channel.status) status = JSON.parse(data.toString("utf8", 1)) as Status;
  });
  const closed = new Promise<void>((resolve, reject) => {
    socket.once("close", () => resolve());
    socket.once("error", reject);
  });
  try {
    await Promise.all([stdin === undefined ? undefined : feed(socket, stdin, closed), closed]);
  } finally {
    socket.terminate();
  }
  if (status?.status === "Success") return stdoutBytes;
  throw new Error(`${command.join(" ")} in ${pod}: ${status?.message ?? "no status"} ${stderr}`);
}

/** Each piece waits until the one before has left: what is measured is the way, not a buffer. */
async function feed(socket: WebSocket, stdin: Buffer, closed: Promise<void>): Promise<void> {
  await Promise.race([new Promise((resolve) => socket.once("open", resolve)), closed]);
  const send = (bytes: Buffer) =>
    new Promise<void>((resolve, reject) =>
      socket.send(bytes, (error) => (error ? reject(error) : resolve())),
    );
  for (let at = 0; at < stdin.length; at += chunkBytes) {
    const piece = stdin.subarray(at, at + chunkBytes);
    await send(Buffer.concat([Buffer.from([channel.stdin]), piece]));
  }
  await send(Buffer.from([channel.close, channel.stdin]));
}
