/** Unix sockets with the care they need: path length, mode, stale files. */
import { chmodSync, linkSync, renameSync, rmSync } from "node:fs";
import { connect, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";

/** sun_path of the kernel is 108 bytes with the terminating NUL. */
export const maxSocketPathBytes = 107;

/** Throws RangeError naming the path when the kernel could not take it. */
export function assertSocketPath(path: string): void {
  const length = Buffer.byteLength(path);
  if (length > maxSocketPathBytes) {
    throw new RangeError(
      `socket path is ${length} bytes long, the kernel takes ${maxSocketPathBytes}: ${path}`,
    );
  }
}

/** Listens with mode 0600. A file left by a dead process is replaced; EADDRINUSE means a live one. */
export async function listenOnUnixSocket(server: Server, path: string): Promise<void> {
  assertSocketPath(path);
  try {
    await listen(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE" || (await answers(path))) {
      throw error;
    }
    await removeStale(path, error);
    await listen(server, path);
  }
  chmodSync(path, 0o600);
}

/**
 * Moved aside, not unlinked: another process that found the file stale, too, may listen there by now.
 * Such a one gets its file back, and `inUse` is thrown.
 */
async function removeStale(path: string, inUse: unknown): Promise<void> {
  const aside = join(dirname(path), `.${process.pid}`);
  try {
    renameSync(path, aside);
  } catch {
    return; // Somebody else moved it: the next bind tells who listens.
  }
  const alive = await answers(aside);
  if (alive) linkSync(aside, path);
  rmSync(aside, { force: true });
  if (alive) throw inUse;
}

/** Whether somebody accepts connections there. */
export async function answers(path: string): Promise<boolean> {
  try {
    (await connectToUnixSocket(path)).destroy();
    return true;
  } catch {
    return false;
  }
}

/** Rejects with the error of connect(2): ENOENT, ECONNREFUSED, EACCES. */
export function connectToUnixSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
