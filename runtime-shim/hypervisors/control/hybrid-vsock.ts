/**
 * A connection to a guest's vsock port over the VMM's unix socket (Firecracker docs/vsock.md, taken
 * over by Cloud Hypervisor): `CONNECT <port>\n` is answered `OK <host port>\n`, raw bytes follow.
 */
import type { Socket } from "node:net";

// "OK 4294967295\n"
const maxAnswerBytes = 32;
const answerTimeoutMs = 5_000;

/** Rejects, with the socket destroyed, when nobody in the guest listens. */
export function connectHybridVsock(socket: Socket, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const finish = (error?: Error) => {
      clearTimeout(timer);
      socket.off("readable", onReadable);
      socket.off("error", finish);
      socket.off("close", onClose);
      if (error === undefined) return resolve(socket);
      socket.destroy();
      reject(error);
    };
    const onClose = () => finish(new Error(`nobody listens on vsock port ${port}`));
    // Byte by byte, so that not one of the guest's is taken with the answer.
    const onReadable = () => {
      for (let byte = socket.read(1); byte !== null; byte = socket.read(1)) {
        answer = Buffer.concat([answer, byte]);
        if (byte[0] === 0x0a) {
          const ok = /^OK \d+\n$/.test(answer.toString("latin1"));
          return finish(ok ? undefined : new Error(`vsock port ${port} was refused`));
        }
        if (answer.length >= maxAnswerBytes) return finish(new Error("this is no vsock socket"));
      }
    };
    const timer = setTimeout(() => finish(new Error("no answer")), answerTimeoutMs);
    socket.on("error", finish);
    socket.on("close", onClose);
    socket.on("readable", onReadable);
    socket.write(`CONNECT ${port}\n`);
  });
}
