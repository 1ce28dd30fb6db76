/** Who listens on a TCP port of this machine, for the error's sake: /proc/net/tcp and /proc/<pid>/fd (proc(5)). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { cliError } from "./errors.ts";

/** State 0A of include/net/tcp_states.h: TCP_LISTEN. */
const listenState = "0A";

/** Throws PORT_TAKEN with the owner's name when `port` cannot be listened on; 0 is always free. */
export async function assertPortFree(port: number, host: string, option: string): Promise<void> {
  if (port === 0) return;
  const code = await listenError(port, host);
  if (code === undefined) return;
  if (code === "EADDRINUSE") {
    throw cliError("PORT_TAKEN", `port ${port} on ${host} is taken`, {
      cause: new Error(describeOwner(port)),
      hint: `katasim up ${option} 0 takes any free port`,
    });
  }
  throw cliError("PORT_TAKEN", `cannot listen on ${host} port ${port}`, {
    cause: new Error(code),
    hint: `use another address or port: --listen 127.0.0.1 ${option} 0`,
  });
}

export function isPortFree(port: number, host = "127.0.0.1"): Promise<boolean> {
  return listenError(port, host).then((code) => code === undefined);
}

function listenError(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function describeOwner(port: number): string {
  const inodes = new Set(
    ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((file) => listeningInodes(read(file), port)),
  );
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    if (socketInodes(pid).some((inode) => inodes.has(inode))) {
      return `${read(`/proc/${pid}/comm`).trim() || "a process"} (pid ${pid}) listens there`;
    }
  }
  return "another process listens there";
}

/** Inodes of the sockets that listen on `port`, from the text of /proc/net/tcp. */
export function listeningInodes(table: string, port: number): readonly string[] {
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, local = "", , state]) =>
        state === listenState && Number.parseInt(local.split(":")[1] ?? "", 16) === port,
    )
    .map((fields) => fields[9] ?? "");
}

function socketInodes(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
